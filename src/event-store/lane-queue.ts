/** One command on its way, and who waits for its answer. */
export type Entry<Item, Result> = {
  readonly item: Item;
  readonly keys: readonly string[];
  readonly rows: number;
  readonly bytes: number;
  readonly expiresAt: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  settled: boolean;
};

export type BatchLimits = Readonly<{ maxRows: number; maxBytes: number }>;

/**
 * What waits to be sent, oldest first. A batch never holds two entries with a key in common, nor a key that is
 * in flight: so entries of one key go one after the other, in the order they came.
 */
export class LaneQueue<E extends Entry<unknown, never>> {
  private waiting: E[] = [];
  private readonly inFlight = new Set<E>();
  private readonly busyKeys = new Set<string>();

  /** Those that wait and those that are in flight. */
  get size(): number {
    return this.waiting.length + this.inFlight.size;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  push(entry: E): void {
    this.waiting.push(entry);
  }

  /** The next batch, now in flight; empty when nothing may be sent. At least one entry, however large it is. */
  take({ maxRows, maxBytes }: BatchLimits): readonly E[] {
    const batch: E[] = [];
    const passedOver: E[] = [];
    const keys = new Set(this.busyKeys);
    let rows = 0;
    let bytes = 0;
    let seen = 0;
    for (const entry of this.waiting) {
      const fits = rows + entry.rows <= maxRows && bytes + entry.bytes <= maxBytes;
      if (!fits && batch.length > 0) break;
      seen++;
      if (entry.settled) continue;
      const free = entry.keys.every((key) => !keys.has(key));
      for (const key of entry.keys) keys.add(key);
      if (!free) {
        passedOver.push(entry);
        continue;
      }
      rows += entry.rows;
      bytes += entry.bytes;
      batch.push(entry);
    }
    this.waiting =
      passedOver.length === 0
        ? this.waiting.slice(seen)
        : [...passedOver, ...this.waiting.slice(seen)];
    this.takeOff(batch);
    return batch;
  }

  /** The entries have been answered. */
  land(batch: readonly E[]): void {
    for (const entry of batch) {
      this.inFlight.delete(entry);
      for (const key of entry.keys) this.busyKeys.delete(key);
    }
  }

  /** The entries go to the front again, before everything that came after them. */
  putBack(batch: readonly E[]): void {
    this.land(batch);
    this.waiting = [...batch.filter(({ settled }) => !settled), ...this.waiting];
  }

  /** Everything that is not answered and expires at `now` or before. */
  expired(now: number): readonly E[] {
    return [...this.inFlight, ...this.waiting].filter(
      ({ settled, expiresAt }) => !settled && expiresAt <= now,
    );
  }

  /** When the next entry expires; undefined when none waits for an answer. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const queue of [this.inFlight, this.waiting]) {
      for (const { settled, expiresAt } of queue) {
        if (!settled && (next === undefined || expiresAt < next)) next = expiresAt;
      }
    }
    return next;
  }

  private takeOff(batch: readonly E[]): void {
    for (const entry of batch) {
      this.inFlight.add(entry);
      for (const key of entry.keys) this.busyKeys.add(key);
    }
  }
}
