import { type Recorded } from '../../src/events/event.ts';
import { type JobEvent, isJobEvent } from '../../src/events/job.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { type JobState, isFinished, job } from '../../src/write/job/decider.ts';

/** What a job of the model is: its own rules' state, and where things stood. */
type ModelJob = {
  state: JobState;
  priority: number;
  requestedPosition: number;
  linePosition: number;
  version: number;
  position: number;
};

export type ModelRow = Readonly<{
  job_id: string;
  phase: string;
  priority: number;
  version: number;
  position: number;
  requested_position: number;
  line_position: number;
  key: string | null;
  run_id: string | null;
  worker_id: string | null;
  wait_id: string | null;
  next_attempt_at: string | null;
  takeable: boolean;
  blocked: boolean;
  superseded_by: string | null;
  waits: number;
  used: readonly string[];
}>;

/** The control tables as they follow from the whole log, one event after the other, by the job's own rules. */
export function modelOf(log: readonly Recorded<JobEvent | SignalEvent>[]): {
  jobs: readonly ModelRow[];
  signals: readonly string[];
} {
  const jobs = new Map<string, ModelJob>();
  for (const event of log) if (isJobEvent(event)) evolve(jobs, event);
  const open = [...jobs].filter(([, { state }]) => !isFinished(state));
  return {
    jobs: open.map(([id, each]) => row(id, each, open)).toSorted(byId),
    signals: log
      .filter(({ type }) => type === 'SignalReceived')
      .map(({ streamId }) => streamId)
      .toSorted(),
  };
}

function evolve(jobs: Map<string, ModelJob>, event: Recorded<JobEvent>): void {
  const position = Number(event.position);
  const before = jobs.get(event.streamId) ?? {
    state: job.initialState,
    priority: event.type === 'JobRequested' ? event.data.priority : 0,
    requestedPosition: position,
    linePosition: position,
    version: 0,
    position: 0,
  };
  const state = job.evolve(before.state, event);
  const reopens = isFinished(before.state) && !isFinished(state);
  const moved = event.type === 'JobStepCompleted' ? {} : { version: event.version, position };
  jobs.set(event.streamId, {
    ...before,
    ...moved,
    state,
    ...(reopens ? { linePosition: position } : {}),
  });
}

function row(id: string, model: ModelJob, open: readonly [string, ModelJob][]): ModelRow {
  return {
    job_id: id,
    priority: model.priority,
    version: model.version,
    position: model.position,
    requested_position: model.requestedPosition,
    line_position: model.linePosition,
    ...phaseOf(model.state),
    ...lineOf(model, open),
    used: [...model.state.usedSignals].toSorted(),
  };
}

type PhaseColumns = Pick<
  ModelRow,
  'phase' | 'run_id' | 'worker_id' | 'wait_id' | 'waits' | 'next_attempt_at' | 'takeable'
>;

const NO_PHASE = {
  run_id: null,
  worker_id: null,
  wait_id: null,
  waits: 0,
  next_attempt_at: null,
  takeable: false,
};

function phaseOf({ phase }: JobState): PhaseColumns {
  const base = { ...NO_PHASE, phase: phase.status };
  if (phase.status === 'running') {
    return { ...base, run_id: phase.runId, worker_id: phase.workerId };
  }
  if (phase.status === 'paused') {
    return { ...base, wait_id: phase.wait.id, waits: phase.wait.on.length };
  }
  if (phase.status === 'retrying') return { ...base, next_attempt_at: phase.nextAttemptAt };
  return { ...base, takeable: true };
}

/** Compared with all other open jobs, one by one. */
function lineOf(model: ModelJob, open: readonly [string, ModelJob][]) {
  const { workflow, concurrency } = model.state.request;
  if (concurrency === null) return { key: null, blocked: false, superseded_by: null };
  const line = open.filter(
    ([, { state }]) =>
      state.request.workflow === workflow && state.request.concurrency?.key === concurrency.key,
  );
  const newer = line
    .filter(
      ([, other]) =>
        other.state.request.concurrency?.strategy === 'supersede' &&
        other.requestedPosition > model.requestedPosition,
    )
    .toSorted(([, a], [, b]) => b.requestedPosition - a.requestedPosition);
  return {
    key: concurrency.key,
    blocked:
      concurrency.strategy === 'queue' &&
      line.some(([, other]) => other.linePosition < model.linePosition),
    superseded_by: newer[0]?.[0] ?? null,
  };
}

const byId = (a: ModelRow, b: ModelRow): number => (a.job_id < b.job_id ? -1 : 1);
