const MINUTE_MS = 60_000;

/**
 * Lets so many through in each minute, counted from the first. Count authentic deliveries only: else
 * anybody could use a source's rate up.
 */
export class RateLimit {
  private windowEnds = 0;
  private count = 0;

  constructor(private readonly maxPerMinute: number) {}

  /** 0 when it may pass, else the milliseconds until the next may. */
  waitMs(now: Date): number {
    const time = now.getTime();
    if (time >= this.windowEnds) {
      this.windowEnds = time + MINUTE_MS;
      this.count = 0;
    }
    this.count += 1;
    return this.count <= this.maxPerMinute ? 0 : this.windowEnds - time;
  }
}
