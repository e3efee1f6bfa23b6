import type { Concurrency } from '../events/job.ts';
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
}>;

/** The columns of `dispatch.jobs` that an opening fills. */
export const openingRow = ({ concurrency, ...opening }: Opening): OpeningRow => ({
  workflow: storable(opening.workflow),
  repository: opening.repository === null ? null : storable(opening.repository),
  priority: opening.priority,
  requested_position: String(opening.requestedPosition),
  line_position: String(opening.linePosition),
  key: concurrency === null ? null : storable(concurrency.key),
  strategy: concurrency?.strategy ?? null,
});

/** The columns of `dispatch.jobs` that follow from its phase. */
export const phaseRow = (
  jobId: string,
  { name, wait, nextAttemptAt, ...phase }: Phase,
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
});
