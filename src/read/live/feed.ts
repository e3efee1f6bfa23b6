import type { Recorded } from '../../events/event.ts';
import type { JobView } from '../../events/job-view.ts';

/** An event, and how its job looks after it; null where nobody asked for views, and for other events. */
type LiveEvent = Readonly<{ event: Recorded; view: JobView | null; bytes: number }>;

/** A job has said how far it is, which is no event; the view as far as it is known. */
type LiveProgress = Readonly<{ event: null; view: JobView | null; bytes: number }>;

export type LiveItem = LiveEvent | LiveProgress;

/** A subscriber may hold so much before it starts to miss some. */
const MOST_ITEMS = 256;
const MOST_BYTES = 1024 * 1024;

/**
 * What one subscriber has not taken yet. Bounded: a subscriber that is too slow loses what it holds and is told so,
 * and the log is behind it to read again from; it never holds the others back.
 */
export class Feed {
  private items: LiveItem[] = [];
  private bytes = 0;
  private missed = false;
  private wake: (() => void) | null = null;

  constructor(private readonly wants: (item: LiveItem) => boolean) {}

  push(item: LiveItem): void {
    if (!this.wants(item)) return;
    this.bytes += item.bytes;
    // One that is large by itself has to pass all the same.
    const isFull = this.items.length > 0 && this.bytes > MOST_BYTES;
    if (this.items.length >= MOST_ITEMS || isFull) {
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
    this.bytes = 0;
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
