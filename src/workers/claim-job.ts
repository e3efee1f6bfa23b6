import type { WorkflowCode } from '../events/job.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { DecideJob, type Door } from '../write/door.ts';
import type { JobCommand, JobRejection } from '../write/job/commands.ts';
import { Rejected } from '../write/rejected.ts';
import { ABORTED, orAborted } from './abort.ts';
import type { Claim } from './run-reports.ts';

/** The log did not say whether the job is ours. The run may have begun: give it back. */
export class ClaimUncertain extends Error {
  override readonly name = 'ClaimUncertain';

  constructor(
    readonly jobId: string,
    readonly runId: string,
    options: ErrorOptions,
  ) {
    super(`Whether job ${jobId} was claimed is not known`, options);
  }
}

export type ClaimOptions = Readonly<{
  door: Door;
  logger: Logger;
  workerId: string;
  clock?: () => Date;
  /** What the run will have; for its `JobStarted`. */
  code?: WorkflowCode;
  /** Take it only if it is at this version: an old hint must not start a job whose turn is another one. */
  jobVersion?: number | null;
}>;

/** So many tries are some 15 seconds. */
const MAX_TRIES = 8;

/**
 * Takes the job by appending its `JobStarted`, whose place in the stream only one worker can have. Gives the reason
 * when there is nothing to take: it runs, has ended, is not due. Throws `ClaimUncertain` when the log stays out of reach, or
 * when `signal` aborts before it answered.
 */
export async function claimJob(
  jobId: string,
  { door, logger, workerId, clock = () => new Date(), code, jobVersion = null }: ClaimOptions,
  signal: AbortSignal,
): Promise<Claim | JobRejection> {
  const runId = newId();
  const start: JobCommand = { type: 'StartJob', at: clock(), data: { runId, workerId, ...code } };
  const asked = { commandId: runId, actor: workerId };
  // After a try without an answer the job may be ours, and then it is no longer at that version.
  let expected = jobVersion === null ? {} : { expectedVersion: jobVersion };
  for (let tries = 1; ; tries++) {
    const command = new DecideJob(jobId, start, { ...asked, ...expected });
    try {
      const decision = await orAborted(door.execute(command), signal);
      if (decision === ABORTED) throw new Error('No answer before the lease or the worker ended');
      return { jobId, runId, workerId, history: decision.history };
    } catch (error) {
      if (error instanceof Rejected) {
        logger.debug({ jobId, reason: error.reason }, 'nothing to claim');
        // The door says so of this command.
        return error.reason as JobRejection;
      }
      expected = {};
      logger.warn({ err: error, jobId, tries }, 'a claim failed');
      if (tries === MAX_TRIES || signal.aborted) {
        throw new ClaimUncertain(jobId, runId, { cause: error });
      }
      await pause(backoffMs(tries), signal);
    }
  }
}

/**
 * Says that a run is over that nobody runs: a claim without an answer may have been stored all the same, and the job
 * would count as run by a worker that lives, for ever. Goes on until the log takes it, or the signal aborts; then the
 * lease of the worker ends it.
 */
export async function giveBack(
  { jobId, runId }: Pick<Claim, 'jobId' | 'runId'>,
  { door, logger, workerId, clock = () => new Date() }: ClaimOptions,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; !signal.aborted; tries++) {
    await pause(backoffMs(tries), signal);
    try {
      const data = { runId, reason: 'released' } as const;
      const command: JobCommand = { type: 'InterruptJob', at: clock(), data };
      await orAborted(door.execute(new DecideJob(jobId, command, { actor: workerId })), signal);
      return;
    } catch (error) {
      // It has ended, or another run has it.
      if (error instanceof Rejected) return;
      logger.warn({ err: error, jobId, tries }, 'a job could not be given back yet');
    }
  }
}
