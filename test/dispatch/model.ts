import { type Recorded } from '../../src/events/event.ts';
import { type Concurrency, type JobEvent, isJobEvent } from '../../src/events/job.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { BurstModel } from './burst-model.ts';
import { type JobState, isFinished, job } from '../../src/write/job/decider.ts';

/** What a job of the model is: its own rules' state, and where things stood. */
type ModelJob = {
  state: JobState;
  priority: number;
  requestedPosition: number;
  linePosition: number;
  version: number;
  position: number;
  /** A worker has had it since it was opened. */
  hasBegun: boolean;
  /** A worker has had it, or somebody asked for it again, ever. */
  isOld: boolean;
  holdUntil: Date | null;
  hasRate: boolean;
};

type Start = Readonly<{ job_id: string; at: string }>;

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
  hold_until: string | null;
  deadline: string | null;
  rate: string | null;
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
  starts: readonly Start[];
} {
  const jobs = new Map<string, ModelJob>();
  const bursts = new BurstModel();
  const starts: Start[] = [];
  for (const event of log) {
    if (!isJobEvent(event)) continue;
    const isFirst = event.type === 'JobStarted' && jobs.get(event.streamId)?.hasBegun === false;
    const model = evolve(jobs, event);
    const { hasRate } = model;
    model.holdUntil = bursts.follow(event) ?? model.holdUntil;
    if (isFirst && hasRate)
      starts.push({ job_id: event.streamId, at: event.recordedAt.toISOString() });
  }
  const open = [...jobs].filter(([, { state }]) => !isFinished(state));
  return {
    jobs: open.map(([id, each]) => row(id, each, open)).toSorted(byId),
    starts: starts.toSorted((a, b) => a.job_id.localeCompare(b.job_id) || a.at.localeCompare(b.at)),
    signals: log
      .filter(({ type }) => type === 'SignalReceived')
      .map(({ streamId }) => streamId)
      .toSorted(),
  };
}

function unknown(event: Recorded<JobEvent>): ModelJob {
  const position = Number(event.position);
  return {
    state: job.initialState,
    priority: event.type === 'JobRequested' ? event.data.priority : 0,
    requestedPosition: position,
    linePosition: position,
    version: 0,
    position: 0,
    hasBegun: false,
    isOld: false,
    holdUntil: null,
    hasRate: event.type === 'JobRequested' && Boolean(event.data.rateLimit),
  };
}

function evolve(jobs: Map<string, ModelJob>, event: Recorded<JobEvent>): ModelJob {
  const position = Number(event.position);
  const before = jobs.get(event.streamId) ?? unknown(event);
  const state = job.evolve(before.state, event);
  const reopens = isFinished(before.state) && !isFinished(state);
  // While it runs, the version is that of its start; else it is the stream's, whatever came last.
  const stays = state.phase.status === 'running' && event.type !== 'JobStarted';
  const moved = stays ? {} : { version: event.version, position };
  const isStarted = event.type === 'JobStarted';
  const isOld = before.isOld || ['JobStarted', 'JobRetryRequested'].includes(event.type);
  const after: ModelJob = {
    ...before,
    ...moved,
    state,
    linePosition: reopens ? position : before.linePosition,
    hasBegun: (before.hasBegun && !reopens) || isStarted,
    isOld,
    holdUntil: isOld ? null : before.holdUntil,
  };
  jobs.set(event.streamId, after);
  return after;
}

function row(id: string, model: ModelJob, open: readonly [string, ModelJob][]): ModelRow {
  return {
    job_id: id,
    priority: model.priority,
    version: model.version,
    position: model.position,
    requested_position: model.requestedPosition,
    line_position: model.linePosition,
    ...phaseOf(model),
    ...lineOf(model, open),
    hold_until: model.holdUntil?.toISOString() ?? null,
    deadline: model.state.deadline,
    rate: rateOf(model),
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

const rateOf = ({ hasRate, hasBegun }: ModelJob): string | null =>
  hasRate ? (hasBegun ? 'begun' : 'waiting') : null;

function phaseOf(model: ModelJob): PhaseColumns {
  const { phase } = model.state;
  const base = { ...NO_PHASE, phase: phase.status };
  if (phase.status === 'running') {
    return { ...base, run_id: phase.runId, worker_id: phase.workerId };
  }
  if (phase.status === 'paused') {
    return { ...base, wait_id: phase.wait.id, waits: phase.wait.on.length };
  }
  if (phase.status === 'retrying') return { ...base, next_attempt_at: phase.nextAttemptAt };
  return { ...base, takeable: model.holdUntil === null && rateOf(model) !== 'waiting' };
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
    .filter(([, other]) => other.requestedPosition > model.requestedPosition)
    .filter(([, { state }]) => {
      const strategy = state.request.concurrency?.strategy;
      const isReplaceable = concurrency.strategy === 'debounce' && !model.isOld;
      return strategy === 'supersede' || (strategy === 'debounce' && isReplaceable);
    })
    .toSorted(([, a], [, b]) => b.requestedPosition - a.requestedPosition);
  const older = line.filter(([, other]) => other.linePosition < model.linePosition).length;
  return {
    key: concurrency.key,
    blocked: older >= mostOf(concurrency),
    superseded_by: newer[0]?.[0] ?? null,
  };
}

function mostOf(concurrency: Concurrency): number {
  if (concurrency.strategy === 'limit') return concurrency.limit;
  return concurrency.strategy === 'queue' ? 1 : Infinity;
}

const byId = (a: ModelRow, b: ModelRow): number => (a.job_id < b.job_id ? -1 : 1);
