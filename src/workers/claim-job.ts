import { backoffMs, pause } from '../platform/backoff.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { DecideJob, type Door } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { Rejected } from '../write/rejected.ts';
import type { Claim } from './run-reports.ts';

/** The log did not say whether the job is ours; the run that may have begun is given back. */
export class ClaimUncertain extends Error {
  override readonly name = 'ClaimUncertain';
}

export type ClaimOptions = Readonly<{
  door: Door;
  logger: Logger;
  workerId: string;
  clock?: () => Date;
}>;

/** So many tries are some 15 seconds. */
const MAX_TRIES = 8;

/**
 * Takes the job by appending its `JobStarted`, whose place in the stream only one worker can have. null: there is
 * nothing to take (it runs, has ended, is not due). Throws `ClaimUncertain` when the log stays out of reach, or
 * when `signal` aborts before it answered.
 */
export async function claimJob(
  jobId: string,
  { door, logger, workerId, clock = () => new Date() }: ClaimOptions,
  signal: AbortSignal,
): Promise<Claim | null> {
  const runId = newId();
  const start: JobCommand = { type: 'StartJob', at: clock(), data: { runId, workerId } };
  const command = new DecideJob(jobId, start, { commandId: runId, actor: workerId });
  for (let tries = 1; ; tries++) {
    try {
      const { history } = await door.execute(command);
      return { jobId, runId, workerId, history };
    } catch (error) {
      if (error instanceof Rejected) {
        logger.debug({ jobId, reason: error.reason }, 'nothing to claim');
        return null;
      }
      logger.warn({ err: error, jobId, tries }, 'a claim failed');
      if (tries === MAX_TRIES || signal.aborted) {
        void giveBack({ jobId, runId }, { door, logger, workerId, clock }, signal);
        throw new ClaimUncertain(`Job ${jobId} could not be claimed`, { cause: error });
      }
      await pause(backoffMs(tries), signal);
    }
  }
}

/**
 * A claim without an answer may have been stored all the same: then the job would count as run by a worker that
 * lives, for ever. Says that it does not, until the log takes it or the worker's lease is gone.
 */
async function giveBack(
  { jobId, runId }: Readonly<{ jobId: string; runId: string }>,
  { door, logger, workerId, clock }: Required<ClaimOptions>,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; !signal.aborted; tries++) {
    await pause(backoffMs(tries), signal);
    try {
      const at = clock();
      const command = { type: 'InterruptJob', at, data: { runId, reason: 'released' } } as const;
      await door.execute(new DecideJob(jobId, command, { actor: workerId }));
      return;
    } catch (error) {
      if (error instanceof Rejected) return;
      logger.warn({ err: error, jobId, tries }, 'a job that may be claimed is not yet given back');
    }
  }
}
