import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import type { StoredRow } from './read-sql.ts';

/** Streams are mostly a few events long, and one of a megabyte must not keep many others waiting. */
const MAX_STREAMS = 32;
const MAX_IN_FLIGHT = 4;

type Waiting = Readonly<{
  resolve: (rows: readonly StoredRow[]) => void;
  reject: (error: unknown) => void;
}>;

/**
 * Reads whole streams together: those that are asked for while the last read is in flight go with the next one. A
 * lone one costs one round trip. What was stored before it is asked for is read.
 */
export class StreamReads {
  private readonly waiting = new Map<string, Waiting[]>();
  private inFlight = 0;
  private isScheduled = false;

  constructor(private readonly database: Queryable) {}

  /** The rows of a stream by version. */
  read(streamId: string): Promise<readonly StoredRow[]> {
    return new Promise((resolve, reject) => {
      const others = this.waiting.get(streamId) ?? [];
      this.waiting.set(streamId, [...others, { resolve, reject }]);
      this.schedule();
    });
  }

  /** Lets everybody who was just answered ask first. */
  private schedule(): void {
    if (this.isScheduled || this.inFlight >= MAX_IN_FLIGHT || this.waiting.size === 0) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      void this.send();
    });
  }

  private async send(): Promise<void> {
    const batch = new Map([...this.waiting].slice(0, MAX_STREAMS));
    for (const streamId of batch.keys()) this.waiting.delete(streamId);
    if (batch.size === 0) return;
    this.inFlight++;
    this.schedule();
    try {
      const rows = await this.rowsOf([...batch.keys()]);
      for (const [streamId, askers] of batch) {
        for (const { resolve } of askers) resolve(rows.get(streamId) ?? []);
      }
    } catch (error) {
      for (const { reject } of [...batch.values()].flat()) reject(error);
    } finally {
      this.inFlight--;
      this.schedule();
    }
  }

  private async rowsOf(streamIds: readonly string[]): Promise<ReadonlyMap<string, StoredRow[]>> {
    const rows = await this.database.query<StoredRow>(sql`
      select * from log.events where stream_id = any (${streamIds}) order by stream_id, version`);
    const byStream = new Map<string, StoredRow[]>();
    for (const row of rows) {
      const stream = byStream.get(row.stream_id);
      if (stream === undefined) byStream.set(row.stream_id, [row]);
      else stream.push(row);
    }
    return byStream;
  }
}
