import type { Logger } from '../platform/logger.ts';
import { currentRun } from './job-run.ts';

/**
 * Lets a promise that a workflow forgot to await fail its own attempt, where it would end the whole process and all
 * jobs in it. A rejection that belongs to no run is a fault of ours and ends the process, as it would without this.
 * Gives what takes it back.
 */
export function catchStrayRejections(logger: Logger): () => void {
  const listener = (error: unknown): void => {
    const run = currentRun();
    if (run === null) throw error;
    const failed = run.failStray(error);
    logger.error(
      { err: error, jobId: run.jobId, failed },
      'a workflow did not await what it began',
    );
  };
  process.on('unhandledRejection', listener);
  return () => {
    process.off('unhandledRejection', listener);
  };
}
