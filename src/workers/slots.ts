import { onAbort } from './abort.ts';

/** What waits for a resumed job has waited before, so it goes first. */
export type Urgency = 'resumed' | 'new';

/** Gives the place back; calling it again does nothing. */
export type ReleaseSlot = () => void;

/** The places for running jobs: never more are taken than there are. */
export class Slots {
  private taken = 0;
  private readonly waiting: Readonly<Record<Urgency, Set<() => void>>> = {
    resumed: new Set(),
    new: new Set(),
  };
  private readonly watching = new Set<() => void>();

  constructor(readonly size: number) {}

  get free(): number {
    return this.size - this.taken;
  }

  /** Takes a place as soon as one is free, resumed before new and else in order; null after `timeoutMs` or an abort. */
  take(
    urgency: Urgency,
    { timeoutMs, signal }: Readonly<{ timeoutMs: number; signal: AbortSignal }>,
  ): Promise<ReleaseSlot | null> {
    if (signal.aborted) return Promise.resolve(null);
    if (this.free > 0) return Promise.resolve(this.occupy());
    return new Promise((resolve) => {
      const queue = this.waiting[urgency];
      const settle = (slot: ReleaseSlot | null): void => {
        queue.delete(grant);
        clearTimeout(timer);
        unlisten();
        resolve(slot);
      };
      const grant = (): void => {
        settle(this.occupy());
      };
      const timer = setTimeout(settle, timeoutMs, null);
      queue.add(grant);
      const unlisten = onAbort(signal, () => {
        settle(null);
      });
    });
  }

  /** Resolves when a place is free, or at the abort. */
  whenFree(signal: AbortSignal): Promise<void> {
    if (this.free > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        this.watching.delete(settle);
        unlisten();
        resolve();
      };
      this.watching.add(settle);
      const unlisten = onAbort(signal, settle);
    });
  }

  private occupy(): ReleaseSlot {
    this.taken++;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.taken--;
      this.passOn();
    };
  }

  private passOn(): void {
    const [next] = [...this.waiting.resumed, ...this.waiting.new];
    if (next !== undefined) {
      next();
      return;
    }
    for (const settle of this.watching) settle();
  }
}
