import { type JobledgerError, unreachable } from './errors.ts';
import type { Receiver } from './connection.ts';

/** What a subscription has given and nobody has taken yet. Bounded, so that a slow reader costs no memory. */
export class Inbox implements Receiver {
  private items: unknown[] = [];
  private ended = false;
  private failure: JobledgerError | null = null;
  private wake: () => void = () => {};

  constructor(private readonly capacity: number) {}

  private full = false;

  /** Whether anything has come. */
  hasGiven = false;

  readonly next = (data: unknown): void => {
    if (this.full) return;
    this.hasGiven = true;
    this.items.push(data);
    this.full = this.items.length >= this.capacity;
    if (this.full) this.ended = true;
    this.wake();
  };

  readonly end = (error: JobledgerError | null): void => {
    if (!this.full) this.failure = error ?? unreachable('The server ended the subscription');
    this.ended = true;
    this.wake();
  };

  /** Why it ended; null when it was full, and what follows is to be asked for again. */
  get error(): JobledgerError | null {
    return this.failure;
  }

  /** What has come; waits for something to come. Empty when it has ended, or the signal aborts. */
  async take(signal: AbortSignal): Promise<readonly unknown[]> {
    if (this.items.length === 0 && !this.ended && !signal.aborted) await this.something(signal);
    const { items } = this;
    this.items = [];
    return signal.aborted ? [] : items;
  }

  private something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.wake = wake;
      signal.addEventListener('abort', wake);
    });
  }
}
