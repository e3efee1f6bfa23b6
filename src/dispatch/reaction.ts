import type { LogHints } from '../event-store/log-hints.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';

/**
 * Something that has to be done because the tables say so, not because an event was seen: whatever a crash left
 * undone is found again. Done twice, it has its effect once.
 */
export interface Reaction {
  readonly name: string;

  /** Does what is due now. Gives the milliseconds after which to look again, even if nothing was touched. */
  runOnce(): Promise<number>;
}

/** When nothing is known to become due, a reaction looks again this often, for what a fault of ours may have missed. */
export const IDLE_MS = 60_000;

/** How a reaction is told that a page touched what it looks at. */
export type Wake = Pick<LogHints, 'heard' | 'wait' | 'announce'>;

/** Runs a reaction whenever it is woken or due, until `signal` aborts. A failure delays it and stops nothing else. */
export async function react(
  reaction: Reaction,
  { wake, logger }: Readonly<{ wake: Wake; logger: Logger }>,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const heard = wake.heard;
    try {
      const dueInMs = await reaction.runOnce();
      failures = 0;
      await wake.wait(Math.min(Math.max(dueInMs, 0), IDLE_MS), signal, heard);
    } catch (error) {
      failures++;
      logger.warn({ err: error, reaction: reaction.name, failures }, 'a reaction failed');
      await pause(backoffMs(failures), signal);
    }
  }
}
