import type { Concurrency, RateLimit } from '../events/job.ts';
import type { Opening, Phase } from './job-fold.ts';
import { storable, storableTime } from './storable.ts';

export type OpeningRow = Readonly<{
  workflow: string;
  repository: string | null;
  priority: number;
  requested_position: string;
  line_position: string;
  key: string | null;
  strategy: Concurrency['strategy'] | null;
  limit: number | null;
  replaceable: boolean;
  rate: 'waiting' | 'begun' | null;
  rate_key: string | null;
  rate_limit: number | null;
  rate_per_ms: number | null;
  deadline: string | null;
}>;

export type PhaseRow = Readonly<{
  job_id: string;
  phase: Phase['name'];
  version: number;
  position: string;
  since: Date;
  run_id: string | null;
  worker_id: string | null;
  wait: string | null;
  wait_until: string | null;
  wait_topic: string | null;
  next_attempt_at: string | null;
  takeable: boolean;
  hinted_at: Date | null;
}>;

/** The columns of `dispatch.jobs` that an opening fills. */
export const openingRow = (
  { concurrency, rateLimit, ...opening }: Opening,
  hasBegun: boolean,
): OpeningRow => ({
  workflow: storable(opening.workflow),
  repository: opening.repository === null ? null : storable(opening.repository),
  priority: opening.priority,
  requested_position: String(opening.requestedPosition),
  line_position: String(opening.linePosition),
  replaceable: concurrency?.strategy === 'debounce' && !hasBegun && !opening.isRetried,
  ...lineColumns(concurrency),
  rate: rateLimit === null ? null : hasBegun ? 'begun' : 'waiting',
  ...rateColumns(rateLimit),
  deadline: opening.deadline === null ? null : storableTime(opening.deadline),
});

const lineColumns = (
  concurrency: Concurrency | null,
): Pick<OpeningRow, 'key' | 'strategy' | 'limit'> =>
  concurrency === null
    ? { key: null, strategy: null, limit: null }
    : {
        key: storable(concurrency.key),
        strategy: concurrency.strategy,
        limit: limitOf(concurrency),
      };

/** How many jobs of its line may be open in front of those that wait; null: it never waits for others. */
function limitOf(concurrency: Concurrency): number | null {
  if (concurrency.strategy === 'limit') return concurrency.limit;
  return concurrency.strategy === 'queue' ? 1 : null;
}

type RateColumns = Pick<OpeningRow, 'rate_key' | 'rate_limit' | 'rate_per_ms'>;

export const rateColumns = (rateLimit: RateLimit | null): RateColumns => ({
  rate_key: rateLimit === null ? null : storable(rateLimit.key),
  rate_limit: rateLimit?.limit ?? null,
  rate_per_ms: rateLimit?.perMs ?? null,
});

/** The columns of `dispatch.jobs` that follow from its phase. */
export const phaseRow = (
  jobId: string,
  { name, wait, nextAttemptAt, hintedAt, ...phase }: Phase,
  promptEarlierMs: number,
): PhaseRow => ({
  job_id: jobId,
  phase: name,
  version: phase.version,
  position: String(phase.position),
  since: phase.since,
  run_id: phase.runId,
  worker_id: phase.workerId,
  // As text in the text: Postgres would choke on a \u0000 in it, which json keeps well.
  wait: wait === null ? null : JSON.stringify(wait),
  wait_until: wait?.until ? storableTime(wait.until) : null,
  wait_topic: wait?.request ? storable(wait.request.topic) : null,
  next_attempt_at: nextAttemptAt === null ? null : storableTime(nextAttemptAt),
  takeable: name === 'requested' || name === 'resumed',
  hinted_at: hintedAt === null ? null : new Date(hintedAt.getTime() - promptEarlierMs),
});
