import { pause } from '../platform/backoff.ts';
import type { LogHints } from './log-hints.ts';

/** How long a reader that has seen everything waits for more: briefly after an event, longer and longer after none. */
const BUSY_MS = 5;
const IDLE_MS = 250;
/** After a page of so many events there is no rest. */
const MANY = 200;

/**
 * The pace of a reader that follows the log. The first event after a quiet moment is taken at once; under load it takes
 * one page per `restMs`, as a page costs much the same whether it holds two events or two hundred.
 */
export class Pace {
  private waitMs = BUSY_MS;
  private heard = 0;
  private begunAt = 0;

  constructor(
    private readonly hints: Pick<LogHints, 'heard' | 'wait'>,
    private readonly restMs: number,
  ) {}

  /** Before a page is read: hints from now on are about what it may not hold. */
  begin(): void {
    this.heard = this.hints.heard;
    this.begunAt = performance.now();
  }

  /** After it was handled: resolves when the next one is to be read. */
  async next(
    { taken, more }: Readonly<{ taken: number; more: boolean }>,
    signal: AbortSignal,
  ): Promise<void> {
    this.waitMs = taken > 0 ? BUSY_MS : Math.min(this.waitMs * 2, IDLE_MS);
    const restMs = this.begunAt + this.restMs - performance.now();
    if (taken > 0 && taken < MANY && restMs > 0) await pause(restMs, signal);
    if (!more) await this.hints.wait(this.waitMs, signal, this.heard);
  }
}
