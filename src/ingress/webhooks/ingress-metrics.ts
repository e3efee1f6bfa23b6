import type { Hint } from './diagnose.ts';

/** What the ingress counts; a process gives it to whatever exports metrics. */
export interface IngressMetrics {
  /**
   * `jobledger_deliveries_total{source,outcome}`. The outcome is accepted, duplicate, ignored, unmappable,
   * spooled, unsigned-ping or the name of a problem; the source is a configured one or `unknown`, so both are few.
   */
  countDelivery(source: string, outcome: string): void;
  /** `jobledger_not_authentic_total{source,hint}`: the likeliest reason why one was not authentic. */
  countNotAuthentic(source: string, hint: Hint): void;
  /** `jobledger_ingress_seconds`: from the end of the headers to the answer. */
  observeSeconds(seconds: number): void;
}

export const NO_METRICS: IngressMetrics = {
  countDelivery: () => undefined,
  countNotAuthentic: () => undefined,
  observeSeconds: () => undefined,
};
