import type { JobEvent } from '../../src/events/job.ts';
import { jobsOf } from './checks.ts';
import type { Instance } from './cluster.ts';
import { type History, JOB_FINAL } from './history.ts';
import { type PlannedFault, SLOTS } from './plan.ts';

type Run = Readonly<{
  history: History;
  instances: readonly Instance[];
  faults: readonly PlannedFault[];
  /** Until everything had settled. */
  seconds: number;
  settledAfterMs: number;
}>;

/** What happened, in numbers. */
export function figuresOf({ history, instances, faults, seconds, settledAfterMs }: Run) {
  const answers = history.sent.flatMap((sent) => sent.answers);
  const jobs = jobsOf(history);
  const kinds = faults.map(({ fault }) =>
    'slot' in fault && fault.kind === 'kill'
      ? fault.kind
      : `${fault.kind} ${'server' in fault ? fault.server : ''}`.trim(),
  );
  return {
    seconds: Math.round(seconds),
    settledSecondsAfterTheLastFault: Math.round(settledAfterMs / 100) / 10,
    deliveries: history.sent.length,
    answers: counted(answers.map((answer) => (answer === 'none' ? 'none' : String(answer.status)))),
    jobs: counted(
      jobs.map(({ events }) => events.findLast(({ type }) => JOB_FINAL.has(type))?.type ?? 'open'),
    ),
    kills: Object.fromEntries(
      SLOTS.map((slot) => [
        slot,
        instances.filter((instance) => instance.slot === slot && instance.killedAt !== null).length,
      ]),
    ),
    faults: counted(kinds),
    events: history.events.length,
    executions: history.executions.length,
    keptSteps: history.events.filter(({ type }) => type === 'JobStepCompleted').length,
    interrupted: counted(
      history.events.flatMap((event) =>
        event.type === 'JobInterrupted' ? [event.data.reason] : [],
      ),
    ),
    longestTakeoverMs: Math.max(0, ...takeovers(history, instances)),
    longestWaitForAWorkerMs: Math.max(0, ...waits(history)),
    loggedErrors: loggedErrors(instances),
  };
}

/** From the kill of a worker until another one runs its job. */
function takeovers(history: History, instances: readonly Instance[]): readonly number[] {
  const killedAt = new Map(
    instances.flatMap(({ role, killedAt: at }) =>
      (role.log as readonly { msg: string; workerId?: string }[]).flatMap(({ msg, workerId }) =>
        msg === 'the worker is registered' && at !== null ? [[workerId, at] as const] : [],
      ),
    ),
  );
  return jobsOf(history).flatMap(({ events }) =>
    events.flatMap((event, index) => {
      if (event.type !== 'JobInterrupted') return [];
      const start = events.slice(0, index).findLast(({ type }) => type === 'JobStarted');
      const next = events.slice(index).find(({ type }) => type === 'JobStarted');
      if (start?.type !== 'JobStarted' || next === undefined) return [];
      const at = killedAt.get(start.data.workerId);
      return at === undefined || at > event.recordedAt.getTime()
        ? []
        : [next.recordedAt.getTime() - at];
    }),
  );
}

const READY: ReadonlySet<JobEvent['type']> = new Set(['JobRequested', 'JobResumed']);

function waits(history: History): readonly number[] {
  return jobsOf(history).flatMap(({ events }) =>
    events.flatMap(({ type, recordedAt }, index) => {
      const next = events[index + 1];
      return READY.has(type) && next?.type === 'JobStarted'
        ? [next.recordedAt.getTime() - recordedAt.getTime()]
        : [];
    }),
  );
}

const ERROR = 50;

/** What roles logged as an error: a server that is away is none. */
const loggedErrors = (instances: readonly Instance[]): Readonly<Record<string, number>> =>
  counted(
    instances.flatMap(({ slot, role }) =>
      role.log.filter(({ level }) => level >= ERROR).map(({ msg }) => `${slot}: ${msg}`),
    ),
  );

function counted(values: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const value of values.toSorted()) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
