import type { Recorded } from '../../events/event.ts';
import type { JobView } from '../../events/job-view.ts';

/** An event, and how its job looks after it; null where nobody asked for views, and for other events. */
export type LiveItem = Readonly<{ event: Recorded; view: JobView | null }>;

/**
 * What one subscriber has not taken yet. Bounded: a subscriber that is too slow loses what it holds and is told so,
 * and the log is behind it to read again from; it never holds the others back.
 */
export class Feed {
  private items: LiveItem[] = [];
  private missed = false;
  private wake: (() => void) | null = null;

  constructor(
    private readonly capacity: number,
    private readonly wants: (item: LiveItem) => boolean,
  ) {}

  push(item: LiveItem): void {
    if (!this.wants(item)) return;
    if (this.items.length >= this.capacity) {
      this.items = [];
      this.missed = true;
    }
    if (!this.missed) this.items.push(item);
    this.wake?.();
  }

  /** Waits for something to come, and gives all of it; `missed` when some was dropped since the last call. */
  async take(signal: AbortSignal): Promise<readonly LiveItem[] | 'missed'> {
    while (!this.missed && this.items.length === 0 && !signal.aborted) await this.something(signal);
    const { items, missed } = this;
    this.items = [];
    this.missed = false;
    return missed ? 'missed' : items;
  }

  private something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.wake = null;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.wake = wake;
      signal.addEventListener('abort', wake);
    });
  }
}
