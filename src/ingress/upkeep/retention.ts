import { pause } from '../../platform/backoff.ts';
import type { Queryable } from '../../platform/database.ts';
import { type Statement, sql } from '../../platform/sql.ts';
import { sourcesInLog } from './sources-in-log.ts';

/** What is kept of a source's deliveries; null: for ever, and however much it is. */
export type Keep = Readonly<{ days: number | null; megabytes: number | null }>;

export type RetentionRules = Readonly<{
  keepOf: (source: string) => Keep;
  /** For so long a delivery is known to have come, also without its body. */
  rememberDays: number;
}>;

export type Removed = Readonly<{ bodies: number; rows: number }>;

export type RetentionParts = Readonly<{
  database: Queryable;
  rules: RetentionRules;
  clock: () => Date;
  /** Told of each batch. */
  onRemoved?: (removed: Removed) => void;
}>;

/** Small enough to lock few rows and to write little at once; each batch is a transaction of its own. */
const BATCH = 100;
const BETWEEN_MS = 50;
const PAGE = 2_000;
const DAY_MS = 24 * 3_600_000;
const MEGABYTE = 1_000_000;

/**
 * Removes what is not to be kept of the delivery log, the oldest first: the bodies by the age and the size of their
 * source, the rows when their bodies are gone and no host can send them again. It takes no turn of the log and locks
 * only the rows that it changes, so nothing that comes in waits for it.
 */
export class DeliveryRetention {
  /** Up to where a source's bodies are gone, so that no run reads what earlier ones have done. */
  private readonly done = new Map<string, Date>();

  constructor(private readonly parts: RetentionParts) {}

  /** Removes all that is due now, or until `signal` aborts. */
  async runOnce(signal: AbortSignal): Promise<Removed> {
    const { database, rules } = this.parts;
    let all: Removed = { bodies: 0, rows: 0 };
    for (const source of await sourcesInLog(database)) {
      const bodiesBefore = await this.bodiesEnd(source, rules.keepOf(source), signal);
      if (bodiesBefore === null || signal.aborted) continue;
      const bodies = await this.removeBodies(source, bodiesBefore, signal);
      const rowsBefore = earlier(bodiesBefore, this.daysAgo(rules.rememberDays));
      const rows = await this.removeRows(source, rowsBefore, signal);
      all = { bodies: all.bodies + bodies, rows: all.rows + rows };
    }
    return all;
  }

  /** Bodies of deliveries received before it go; null: none. */
  private async bodiesEnd(
    source: string,
    { days, megabytes }: Keep,
    signal: AbortSignal,
  ): Promise<Date | null> {
    const byAge = days === null ? null : this.daysAgo(days);
    const bySize =
      megabytes === null ? null : await this.sizeEnd(source, megabytes * MEGABYTE, signal);
    if (byAge === null || bySize === null) return byAge ?? bySize;
    return byAge > bySize ? byAge : bySize;
  }

  /** Adds bodies up from the newest on, as they are stored; gives the time before which they are too much. */
  private async sizeEnd(source: string, limit: number, signal: AbortSignal): Promise<Date | null> {
    let place: Statement = sql`true`;
    for (let total = 0; ;) {
      const rows = await this.parts.database.query<SizeRow>(sql`
        select id, received_at, received_at::text as received, coalesce(pg_column_size(body), 0) as size
        from ingress.deliveries
        where source = ${source} and body_removed_at is null and ${place}
        order by received_at desc, id desc limit ${PAGE}`);
      for (const { size, received_at } of rows) {
        total += size;
        // The one that crosses the limit goes too, with what came in the same millisecond.
        if (total > limit) return new Date(received_at.getTime() + 1);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return null;
      await pause(BETWEEN_MS, signal);
      if (signal.aborted) return null;
      place = sql`(received_at, id) < (${last.received}::timestamptz, ${last.id}::uuid)`;
    }
  }

  private async removeBodies(source: string, before: Date, signal: AbortSignal): Promise<number> {
    const from = this.done.get(source) ?? new Date(0);
    const removed = await this.inBatches(signal, async () => {
      const rows = await this.parts.database.query(sql`
        update ingress.deliveries set body = null, body_removed_at = clock_timestamp()
        where id = any (array(
          select id from ingress.deliveries
          where source = ${source} and received_at >= ${from} and received_at < ${before} and body is not null
          order by received_at limit ${BATCH} for update skip locked))
        returning 1`);
      this.parts.onRemoved?.({ bodies: rows.length, rows: 0 });
      return rows.length;
    });
    // What was spooled in an outage comes late.
    if (!signal.aborted) this.done.set(source, new Date(before.getTime() - DAY_MS));
    return removed;
  }

  private removeRows(source: string, before: Date, signal: AbortSignal): Promise<number> {
    return this.inBatches(signal, async () => {
      const rows = await this.parts.database.query(sql`
        delete from ingress.deliveries
        where id = any (array(
          select id from ingress.deliveries
          where source = ${source} and received_at < ${before} and body is null
          order by received_at limit ${BATCH} for update skip locked))
        returning 1`);
      this.parts.onRemoved?.({ bodies: 0, rows: rows.length });
      return rows.length;
    });
  }

  private async inBatches(signal: AbortSignal, batch: () => Promise<number>): Promise<number> {
    for (let removed = 0; ;) {
      const count = signal.aborted ? 0 : await batch();
      removed += count;
      if (count < BATCH) return removed;
      await pause(BETWEEN_MS, signal);
    }
  }

  private daysAgo(days: number): Date {
    return new Date(this.parts.clock().getTime() - days * DAY_MS);
  }
}

type SizeRow = Readonly<{ id: string; received_at: Date; received: string; size: number }>;

const earlier = (one: Date, other: Date): Date => (one < other ? one : other);
