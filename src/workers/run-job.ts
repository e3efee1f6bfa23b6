import type { JobEvent } from '../events/job.ts';
import type { Logger } from '../platform/logger.ts';
import type { Trigger } from '../sdk/trigger.ts';
import type { JobView, Workflow, WorkflowContext } from '../sdk/workflow.ts';
import type { Door } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { onAbort, within } from './abort.ts';
import { classify } from './failure.ts';
import { type Ending, JobRun } from './job-run.ts';
import { type Claim, LOST, RunReports, correlationOf } from './run-reports.ts';

/** How a run ended, as the log has it. `lost`: another run or person had the last word, and nothing was added. */
export type RunEnd = 'completed' | 'paused' | 'released' | 'retrying' | 'failed' | 'lost';

export type RunServices = Readonly<{
  door: Door;
  logger: Logger;
  /** Shows the progress of a job to its watchers; must not throw. */
  progress?: (jobId: string, percent: number, message: string | null) => void;
  clock?: () => Date;
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

/** After this, code that ignores its abort signal is left behind, so that it cannot hold a worker's slot for ever. */
const ABANDON_AFTER_MS = 10_000;

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
  const { clock = () => new Date(), patienceMs = 60_000 } = services;
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
  const run = new JobRun(claim, reports, clock);
  const abort = new AbortController();
  const unlisten = listen(run, signals);

  run.start(() => workflow.run(contextOf({ claim, run, services, logger, signal: abort.signal })));
  const ending = await run.ending;
  abort.abort(reasonOf(ending, signals));
  const end = await report(ending, { claim, reports, services, logger });
  unlisten();
  await leave(run, logger);
  return end;
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
  const failed = classify(ending.error);
  return { type: 'FailAttempt', at, data: { runId, ...failed, jitter: random() } };
}

function endOf({ kind }: Ending, events: readonly JobEvent[]): RunEnd {
  if (kind !== 'failed') return kind;
  return events.some(({ type }) => type === 'JobFailed') ? 'failed' : 'retrying';
}

/** What `ctx.signal` says when the run is over. */
function reasonOf({ kind }: Ending, { lost }: RunSignals): DOMException {
  const why = kind === 'lost' && lost.reason instanceof Error ? lost.reason.message : kind;
  return new DOMException(`The run of this job is over: ${why}`, 'AbortError');
}

/** Waits for the steps that are still under way, so that a slot is free only when its worker is. */
async function leave(run: JobRun, logger: Logger): Promise<void> {
  if (await within(run.quiet(), ABANDON_AFTER_MS)) return;
  logger.warn('the workflow still runs after its run is over: its steps should heed ctx.signal');
}

type ContextParts = Pick<Reporting, 'claim' | 'services' | 'logger'> &
  Readonly<{ run: JobRun; signal: AbortSignal }>;

function contextOf({ claim, run, services, logger, signal }: ContextParts): WorkflowContext {
  return {
    job: jobViewOf(claim),
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
    waitForEvent: run.waitForEvent,
    sleep: run.sleep,
    progress: (percent, message) => {
      if (!signal.aborted) services.progress?.(claim.jobId, percent, message ?? null);
    },
  };
}

function jobViewOf(claim: Claim): JobView {
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
    correlationId: correlationOf(claim),
  };
}
