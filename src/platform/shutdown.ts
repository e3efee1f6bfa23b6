import { setMaxListeners } from 'node:events';

import type { Logger } from './logger.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

type Options = Readonly<{
  /** How long the stop may take before the process ends without it. */
  graceMs: number;
  logger: Logger;
  /** What gets the signals and is ended; another object than the process only in tests. */
  program?: Readonly<{
    on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
    exit(code: number): void;
  }>;
}>;

/**
 * Aborts at the first SIGTERM or SIGINT: everything that runs then finishes what it is doing and ends. A second signal,
 * or `graceMs` without an end, ends the process at once with exit code 1.
 */
export function shutdownSignal({ graceMs, logger, program = process }: Options): AbortSignal {
  const stop = new AbortController();
  // Everything that runs in the process listens to it.
  setMaxListeners(0, stop.signal);
  const endNow = (why: string): void => {
    logger.error(`ended before the stop was complete: ${why}`);
    program.exit(1);
  };
  const receive = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      endNow(`${signal} came again`);
      return;
    }
    logger.info({ signal, graceMs }, 'stopping; the same signal again ends the process at once');
    // A process whose work has ended must not wait for this timer.
    setTimeout(endNow, graceMs, `it took longer than ${String(graceMs)} ms`).unref();
    stop.abort();
  };
  for (const signal of SIGNALS) program.on(signal, receive);
  return stop.signal;
}
