import { once } from 'node:events';
import { url as debuggerUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';

import { pause } from './backoff.ts';

/** So often within its patience the watchdog looks: one look that slept through a suspended machine proves nothing. */
const LOOKS = 8;

/**
 * Ends the process when its event loop has not turned for `patienceMs`: code that never gives it back, such as an
 * endless loop, would leave a process that looks alive and does nothing, for ever. Whoever runs the process starts it
 * anew. A debugger may stop the loop for as long as it likes.
 */
export class Watchdog {
  constructor(
    private readonly options: Readonly<{
      patienceMs: number;
      /** Written to standard error right before the end. */
      lastWords: string;
    }>,
  ) {}

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    if (debuggerUrl() !== undefined) return;
    const { patienceMs, lastWords } = this.options;
    const everyMs = patienceMs / LOOKS;
    const turns = new Int32Array(new SharedArrayBuffer(8));
    const thread = new Worker(WATCH, {
      eval: true,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
      workerData: { turns, everyMs, looks: LOOKS, lastWords },
    });
    const ended = once(thread, 'exit');
    thread.unref();
    while (!signal.aborted) {
      Atomics.add(turns, TURNS, 1);
      await pause(everyMs / 2, signal);
    }
    Atomics.store(turns, STOP, 1);
    Atomics.notify(turns, STOP);
    await ended;
  }
}

const TURNS = 0;
const STOP = 1;

/** What the thread runs. It shares nothing with the loop that it watches, so it has no event loop of its own either. */
const WATCH = `
  const { workerData: { turns, everyMs, looks, lastWords } } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  let seen = -1;
  let still = 0;
  while (Atomics.load(turns, ${String(STOP)}) === 0) {
    Atomics.wait(turns, ${String(STOP)}, 0, everyMs);
    const now = Atomics.load(turns, ${String(TURNS)});
    still = now === seen ? still + 1 : 0;
    seen = now;
    if (still < looks) continue;
    try { writeSync(2, lastWords + '\\n'); } catch {}
    process.kill(process.pid, 'SIGKILL');
  }
`;
