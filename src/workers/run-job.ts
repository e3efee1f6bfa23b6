import type { JobEvent, StepPlace } from '../events/job.ts';
import type { Logger } from '../platform/logger.ts';
import type { Trigger } from '../sdk/trigger.ts';
import type { JobView, WorkflowContext } from '../sdk/context.ts';
import type { Workflow } from '../sdk/workflow.ts';
import type { Door } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { onAbort, within } from './abort.ts';
import { classify } from './failure.ts';
import { JobRun } from './job-run.ts';
import { Replay } from './replay.ts';
import type { Ending } from './run-course.ts';
import { type Claim, LOST, RunReports, correlationOf } from './run-reports.ts';
import { type Timer, realTimer } from './step-call.ts';
import { anyWait, approvalWait, eventWait, sleepUntilWait, sleepWait } from './waits.ts';

/** How a run ended, as the log has it. `lost`: another run or person had the last word, and nothing was added. */
export type RunEnd = 'completed' | 'paused' | 'released' | 'retrying' | 'failed' | 'lost';

export type RunServices = Readonly<{
  door: Door;
  logger: Logger;
  /** Shows the progress of a job to its watchers; must not throw. */
  progress?: (jobId: string, percent: number, message: string | null) => void;
  /** Shows which steps of a run are under way now; must not throw. */
  steps?: (run: Pick<Claim, 'jobId' | 'runId'>, steps: readonly StepPlace[]) => void;
  /** After this, code that ignores its abort signal is left behind, so that it holds no worker's slot for ever. */
  leaveAfterMs?: number;
  /** Told when a run is over and its code is left behind, still at work; must not throw. */
  onLeftBehind?: (workflow: string) => void;
  clock?: () => Date;
  /** Of the times that steps and attempts may take. */
  timer?: Timer;
  /** How long code that has changed may take to ask for what is kept, before it counts as not asked for. */
  replayGraceMs?: number;
  /** 0 to 1: spreads retries out. */
  random?: () => number;
  /** How long the log may refuse a step's result before the attempt fails. */
  patienceMs?: number;
}>;

export type RunSignals = Readonly<{
  /** The job is cancelled, superseded, or another worker's: say nothing more for it. */
  lost: AbortSignal;
  /** Stop at the next boundary and give the job back. */
  drain: AbortSignal;
  /** Give the job back now. */
  release: AbortSignal;
}>;

const NEVER = new AbortController().signal;

const UNDISTURBED: RunSignals = { lost: NEVER, drain: NEVER, release: NEVER };

const LEAVE_AFTER_MS = 10_000;

/**
 * Runs a claimed job from where the log says it stands until it completes, fails, pauses, or is taken away, and
 * appends that. Knows no transport. Never throws for what the workflow's code does.
 */
export async function runJob(
  claim: Claim,
  workflow: Workflow,
  services: RunServices,
  signals: RunSignals = UNDISTURBED,
): Promise<RunEnd> {
  const { clock = () => new Date(), timer = realTimer, patienceMs = 60_000 } = services;
  const { leaveAfterMs = LEAVE_AFTER_MS } = services;
  const logger = services.logger.child({
    jobId: claim.jobId,
    workflow: workflow.name,
    attempt: claim.history.state.attempt,
  });
  const reports = new RunReports(claim, {
    door: services.door,
    logger,
    lost: signals.lost,
    patienceMs,
  });
  const abort = new AbortController();
  const run = new JobRun({
    claim,
    reports,
    replay: new Replay(claim.history.state, {
      workflow: workflow.name,
      ...(services.replayGraceMs === undefined ? {} : { graceMs: services.replayGraceMs }),
    }),
    clock,
    timer,
    signal: abort.signal,
    onSteps: (steps) => services.steps?.(claim, steps),
  });
  const unlisten = listen(run, signals);
  const stopTimer = limit(run, workflow.timeouts.attemptMs, timer);

  const { version } = workflow;
  const { signal } = abort;
  run.start(() => workflow.run(contextOf({ claim, run, version, services, logger, signal })));
  const ending = await run.ending;
  stopTimer();
  abort.abort(reasonOf(ending, signals));
  const end = await report(ending, { claim, reports, services, logger });
  unlisten();
  if (!(await within(run.quiet(), leaveAfterMs))) {
    logger.warn(
      'the workflow still runs after its run is over: its steps should heed their signal',
    );
    services.onLeftBehind?.(workflow.name);
  }
  return end;
}

function limit(run: JobRun, timeoutMs: number | null, timer: Timer): () => void {
  if (timeoutMs === null) return () => undefined;
  return timer(timeoutMs, () => {
    run.timeOut(timeoutMs);
  });
}

function listen(run: JobRun, { lost, drain, release }: RunSignals): () => void {
  const unlisten = [
    onAbort(drain, () => {
      run.drain();
    }),
    onAbort(release, () => {
      run.endAtOnce('released');
    }),
    onAbort(lost, () => {
      run.endAtOnce('lost');
    }),
  ];
  return () => {
    for (const stop of unlisten) stop();
  };
}

type Reporting = Readonly<{
  claim: Claim;
  reports: RunReports;
  services: RunServices;
  logger: Logger;
}>;

async function report(ending: Ending, reporting: Reporting): Promise<RunEnd> {
  const { reports, logger } = reporting;
  const command = commandOf(ending, reporting);
  const events = command === null ? LOST : await reports.reportEnd(command);
  const end = events === LOST ? 'lost' : endOf(ending, events);
  const error = ending.kind === 'failed' && end !== 'lost' ? { err: ending.error } : {};
  logger[end === 'failed' ? 'warn' : 'info']({ ...error, end }, `the run ended: ${end}`);
  return end;
}

function commandOf(ending: Ending, { claim, services }: Reporting): JobCommand | null {
  const { clock = () => new Date(), random = Math.random } = services;
  const at = clock();
  const { runId } = claim;
  if (ending.kind === 'lost') return null;
  if (ending.kind === 'completed') {
    return { type: 'CompleteJob', at, data: { runId, result: ending.result } };
  }
  if (ending.kind === 'paused') return { type: 'PauseJob', at, data: { runId, wait: ending.wait } };
  if (ending.kind === 'released') {
    return { type: 'InterruptJob', at, data: { runId, reason: 'released' } };
  }
  const { kind: _, error, ...steps } = ending;
  const data = { runId, ...classify(error), jitter: random(), ...steps };
  return { type: 'FailAttempt', at, data };
}

function endOf({ kind }: Ending, events: readonly JobEvent[]): RunEnd {
  if (kind !== 'failed') return kind;
  return events.some(({ type }) => type === 'JobFailed') ? 'failed' : 'retrying';
}

/** What `ctx.signal` says when the run is over. */
function reasonOf(ending: Ending, { lost }: RunSignals): DOMException {
  const cause: unknown = ending.kind === 'failed' ? ending.error : lost.reason;
  const named = ending.kind === 'lost' || ending.kind === 'failed';
  return named && cause instanceof Error ? runIsOver(cause.message) : usualEnd(ending.kind);
}

const runIsOver = (why: string): DOMException =>
  new DOMException(`The run of this job is over: ${why}`, 'AbortError');

const usualEnds = new Map<string, DOMException>();

/** Made once: its stack would say nothing, and takes longer than the rest of a run without steps. */
function usualEnd(kind: Ending['kind']): DOMException {
  const known = usualEnds.get(kind) ?? runIsOver(kind);
  usualEnds.set(kind, known);
  return known;
}

type ContextParts = Pick<Reporting, 'claim' | 'services' | 'logger'> &
  Readonly<{ run: JobRun; version: string; signal: AbortSignal }>;

function contextOf({
  claim,
  run,
  version,
  services,
  logger,
  signal,
}: ContextParts): WorkflowContext {
  return {
    job: jobViewOf(claim, version),
    signal,
    logger: {
      debug: (message, fields) => {
        logger.debug(fields ?? {}, message);
      },
      info: (message, fields) => {
        logger.info(fields ?? {}, message);
      },
      warn: (message, fields) => {
        logger.warn(fields ?? {}, message);
      },
      error: (message, fields) => {
        logger.error(fields ?? {}, message);
      },
    },
    step: run.step,
    waitForEvent: (event, options) => run.wait(eventWait(event, options)),
    waitForAny: (events, options) => run.wait(anyWait(events, options)),
    sleep: (name, delayMs) => run.wait(sleepWait(name, delayMs)),
    sleepUntil: (name, time) => run.wait(sleepUntilWait(name, time)),
    approval: (name, options) => run.wait(approvalWait(claim.jobId, name, options)),
    progress: (percent, message) => {
      if (!signal.aborted) services.progress?.(claim.jobId, percent, message ?? null);
    },
  };
}

function jobViewOf(claim: Claim, version: string): JobView {
  const { jobId, history } = claim;
  const { state } = history;
  const { workflow, trigger, input, retry } = state.request;
  if (trigger === null) throw new Error(`Job ${jobId} runs, and was never requested`);
  return {
    id: jobId,
    workflow,
    trigger: trigger satisfies Trigger,
    input,
    attempt: state.attempt,
    maxAttempts: retry.maxAttempts,
    version: state.begunWith?.version ?? version,
    correlationId: correlationOf(claim),
  };
}
