import type { Recorded } from '../events/event.ts';
import type { SignalEvent } from '../events/signal.ts';
import { rateColumns } from './control-rows.ts';
import type { BurstChange, FoldedPage } from './fold-page.ts';
import type { Phase, Start } from './job-fold.ts';
import { storable } from './storable.ts';

/** What the jobs that stand paused after the page wait for. */
export const waitRows = (
  open: readonly Readonly<{ jobId: string; phase: Phase }>[],
): readonly object[] =>
  open.flatMap(({ jobId, phase: { wait } }) =>
    (wait?.on ?? []).map(({ event, key, match }, ordinal) => ({
      job_id: jobId,
      ordinal,
      event: storable(event),
      key: key === null ? null : storable(key),
      picky: match !== undefined && Object.keys(match).length > 0,
    })),
  );

export const signalRow = ({ streamId, position, data }: Recorded<SignalEvent>): object => ({
  signal_id: streamId,
  event: storable(data.event),
  key: data.key === null ? null : storable(data.key),
  position: String(position),
});

export const usedRows = (jobs: FoldedPage['jobs']): readonly object[] =>
  [...jobs].flatMap(([jobId, { phase, usedSignals }]) =>
    phase === null ? [] : usedSignals.map((signalId) => ({ job_id: jobId, signal_id: signalId })),
  );

/** The jobs that were taken for the first time, but those that the page knows to have no rate and not to be debounced. */
export const startRows = (jobs: FoldedPage['jobs']): readonly object[] =>
  [...jobs].flatMap(([jobId, { starts }]) =>
    starts.filter(matters).map((start) => startRow(jobId, start)),
  );

const startRow = (jobId: string, { at, opening }: Start): object => ({
  job_id: jobId,
  at,
  // Without it, the table knows what it is.
  workflow: opening === null ? null : storable(opening.workflow),
  ...rateColumns(opening?.rateLimit ?? null),
});

const matters = ({ opening }: Start): boolean =>
  opening === null || opening.rateLimit !== null || opening.concurrency?.strategy === 'debounce';

export const burstRows = (bursts: readonly BurstChange[]): readonly object[] =>
  bursts.map(({ jobId, at, request }) => {
    const concurrency = request?.concurrency;
    if (!request || concurrency?.strategy !== 'debounce') return { job_id: jobId };
    const { key, quietMs, maxWaitMs } = concurrency;
    return {
      job_id: jobId,
      workflow: storable(request.workflow),
      key: storable(key),
      at,
      quiet_ms: quietMs,
      max_wait_ms: maxWaitMs,
    };
  });
