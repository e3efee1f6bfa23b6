import type { Database } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

const EVERY_MS = 2_000;

/** Shows how fast each live projection goes: a number while it works, null when it has nothing to do. */
export class RateMeter {
  private since = performance.now();
  private before = new Map<string, number>();
  private readonly shown = new Map<string, number>();

  constructor(
    private readonly database: Database,
    /** How many events each has taken so far. */
    private readonly taken: ReadonlyMap<string, number>,
  ) {}

  /** Cheap to call after each page: it writes every other second, and only what has changed. */
  async store(): Promise<void> {
    const now = performance.now();
    const seconds = (now - this.since) / 1_000;
    if (now - this.since < EVERY_MS) return;
    for (const [name, count] of this.taken) {
      const rate = Math.round((count - (this.before.get(name) ?? 0)) / seconds);
      if (rate === (this.shown.get(name) ?? 0)) continue;
      await this.database.query(sql`
        update projections.generations
        set events_per_second = ${rate === 0 ? null : rate}, updated_at = clock_timestamp()
        where name = ${name} and state = 'LIVE'`);
      this.shown.set(name, rate);
    }
    this.before = new Map(this.taken);
    this.since = now;
  }
}
