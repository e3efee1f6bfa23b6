import { CannotRun } from '../processes/run-role.ts';

/** One count of an ingress: of an outcome, or where a delivery was not authentic, of the likeliest reason. */
export type Counted = Readonly<{ source: string; outcome: string; hint: string | null }>;

const LINE =
  /^jobledger_(?:deliveries|not_authentic)_total\{source="([^"]+)",(outcome|hint)="([^"]+)"\} (\d+)$/gm;

/** Sees what ingresses count, through `/metrics` of their admin ports. */
export class IngressCounters {
  private last: ReadonlyMap<string, number> = new Map();

  constructor(private readonly urls: readonly string[]) {}

  /** What has been counted since the last time; throws when an ingress does not answer. */
  async news(): Promise<readonly Counted[]> {
    const now = new Map<string, number>();
    const news: Counted[] = [];
    for (const url of this.urls) {
      for (const [, source = '', label, value = '', count] of (await metricsOf(url)).matchAll(
        LINE,
      )) {
        const key = `${url} ${source} ${value}`;
        const before = this.last.get(key) ?? 0;
        now.set(key, Number(count));
        // A restarted ingress counts from 0 again.
        if (Number(count) !== before && Number(count) > 0) news.push(countOf(source, label, value));
      }
    }
    this.last = now;
    return news;
  }
}

const countOf = (source: string, label: string | undefined, value: string): Counted =>
  label === 'hint'
    ? { source, outcome: 'not-authentic', hint: value }
    : { source, outcome: value, hint: null };

async function metricsOf(url: string): Promise<string> {
  const address = new URL('/metrics', url);
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(5_000) });
    if (response.ok) return await response.text();
    throw new Error(`It answers ${String(response.status)}`);
  } catch (error) {
    throw new CannotRun(
      `${address.href} cannot be read: --admin (or ADMIN_PORT) must be the admin port of the ingress`,
      { cause: error },
    );
  }
}
