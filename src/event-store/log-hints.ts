/** Tells readers of the log that something was appended. A lost hint costs a poll, never an event. */
export interface LogHints {
  /** Says that this process has appended: at once in this process, and soon in the others. */
  announce(): void;

  /** How many hints were heard. Taken before a read, it lets `wait` miss none that came during the read. */
  readonly heard: number;

  /** Resolves at the next hint (at once if one came since `since`), after the timeout, or when `signal` aborts. */
  wait(timeoutMs: number, signal: AbortSignal, since?: number): Promise<void>;

  /** Carries hints to and from the other processes until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Hints within one process. */
export class LocalLogHints implements LogHints {
  private readonly waiting = new Set<() => void>();
  private count = 0;

  get heard(): number {
    return this.count;
  }

  announce(): void {
    this.count++;
    for (const wake of this.waiting) wake();
  }

  wait(timeoutMs: number, signal: AbortSignal, since = this.count): Promise<void> {
    if (signal.aborted || since !== this.count) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
    });
  }
}
