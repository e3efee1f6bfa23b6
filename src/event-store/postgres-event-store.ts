import type { Event, Recorded } from '../events/event.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { Statement } from '../platform/sql.ts';
import { type EncodedAppend, encodeAppend, hasRepeatedId } from './append-command.ts';
import { appendBatch } from './append-sql.ts';
import {
  type Append,
  type AppendResult,
  EventStore,
  type LogPage,
  type LogRange,
  type PageRange,
  type StreamRange,
} from './event-store.ts';
import { Lane, type LaneOptions } from './lane.ts';
import type { LogHints } from './log-hints.ts';
import {
  type StoredRow,
  archivedUpToStatement,
  headStatement,
  isWholeLog,
  isWholeStream,
  logStatement,
  recorded,
  sizedLogStatement,
  streamStatement,
} from './read-sql.ts';
import { type Fetched, RecentEvents } from './recent-events.ts';
import { StreamReads } from './stream-reads.ts';
import { Upcasters } from './upcast.ts';

/** Carries append commands to log.append; `appendLane` makes one. */
export type AppendLane = Pick<Lane<EncodedAppend, AppendResult>, 'submit' | 'close'>;

/** The lane that all appends of a process share: one command per stream and call, in the order they came. */
export function appendLane(
  options: Readonly<{ databaseUrl: string; logger: Logger }> &
    Partial<Omit<LaneOptions<EncodedAppend, AppendResult>, 'call' | 'keysOf' | 'sizeOf'>>,
): Lane<EncodedAppend, AppendResult> {
  return new Lane({
    name: 'append',
    ...options,
    call: appendBatch,
    keysOf: ({ streamId }) => [streamId],
    sizeOf: ({ events, bytes }) => ({ rows: events.length, bytes }),
  });
}

/**
 * The log in Postgres. Appends go through a lane, reads through the pool: from log.events, and from the archive too
 * where that shows that some is missing.
 */
export class PostgresEventStore extends EventStore {
  private readonly upcasters: Upcasters;
  /** As far as it was seen that events are archived: pages before it are read with them at once. */
  private archivedUpTo = 0n;
  private readonly streams: StreamReads;
  private readonly recent: RecentEvents;

  constructor(
    private readonly parts: Readonly<{
      database: Queryable;
      lane: AppendLane;
      /** Told of each append, so that readers need not wait for their next poll. */
      hints?: Pick<LogHints, 'announce'>;
      upcasters?: Upcasters;
    }>,
  ) {
    super();
    this.upcasters = parts.upcasters ?? new Upcasters();
    this.streams = new StreamReads(parts.database);
    this.recent = new RecentEvents((after, limit) => this.fetchAfter(after, limit));
  }

  /**
   * Rejects with `AppendUncertain` when the lane's deadline passes, and with a `TypeError` for what no log could
   * store. Data may hold any string: JSON escapes U+0000 and lone surrogates, and the column keeps the text.
   */
  async append(command: Append): Promise<AppendResult> {
    const encoded = encodeAppend(command, this.upcasters);
    if (encoded.events.length === 0) return this.standstill(encoded.streamId);
    if (hasRepeatedId(encoded)) {
      return {
        status: 'id_conflict',
        version: (await this.lastOf(encoded.streamId))?.version ?? 0,
      };
    }
    const result = await this.parts.lane.submit(encoded);
    if (result.status === 'appended') this.parts.hints?.announce();
    return result;
  }

  async readStream<E extends Event = Event>(
    streamId: string,
    range: StreamRange = {},
  ): Promise<readonly Recorded<E>[]> {
    const isAll = Object.keys(range).length === 0;
    let rows = isAll
      ? await this.streams.read(streamId)
      : await this.query(streamStatement(streamId, range, 'present'));
    if (!isWholeStream(rows, range)) {
      rows = await this.query(streamStatement(streamId, range, 'all'));
    }
    return rows.map((row) => recorded<E>(row, this.upcasters));
  }

  async readAll<E extends Event = Event>(range: LogRange): Promise<readonly Recorded<E>[]> {
    const rows = (await this.presentPage(range)) ?? (await this.query(logStatement(range, 'all')));
    return rows.map((row) => recorded<E>(row, this.upcasters));
  }

  /** The page from what is not archived, if it is whole so; of some types, nobody can tell. */
  private async presentPage(range: LogRange): Promise<readonly StoredRow[] | null> {
    if (range.types !== undefined || range.after < this.archivedUpTo) return null;
    const rows = await this.query(logStatement(range, 'present'));
    if (isWholeLog(rows, range)) return rows;
    const [archived] = await this.parts.database.query<{ position: string }>(archivedUpToStatement);
    this.archivedUpTo = BigInt(archived?.position ?? 0);
    return null;
  }

  private query(statement: Statement): Promise<readonly StoredRow[]> {
    return this.parts.database.query<StoredRow>(statement);
  }

  async head(): Promise<bigint> {
    const [row] = await this.parts.database.query<{ head: string }>(headStatement);
    return BigInt(row?.head ?? 0);
  }

  /** From what this process has read lately, where that goes on from `after`. */
  override async readPage<E extends Event = Event>(range: PageRange): Promise<LogPage<E>> {
    const { after, limit, types } = range;
    const fresh = await this.recent.readOn(after);
    if (fresh === null) return super.readPage(range);
    const wanted =
      types === undefined ? fresh.events : fresh.events.filter(({ type }) => types.includes(type));
    const events = wanted.slice(0, limit) as readonly Recorded<E>[];
    const last = (events.length < wanted.length ? events : fresh.events).at(-1);
    return {
      events,
      to: last?.position ?? after,
      more: fresh.more || events.length < wanted.length,
    };
  }

  private async standstill(streamId: string): Promise<AppendResult> {
    const last = await this.lastOf(streamId);
    const lastPosition = last?.position ?? 0n;
    return {
      status: 'duplicate',
      firstPosition: lastPosition + 1n,
      lastPosition,
      version: last?.version ?? 0,
    };
  }

  private async fetchAfter(after: bigint, limit: number): Promise<Fetched> {
    const rows = await this.parts.database.query<StoredRow & { size: number }>(
      sizedLogStatement(after, limit),
    );
    return {
      events: rows.map((row) => recorded(row, this.upcasters)),
      bytes: rows.reduce((sum, { size }) => sum + size, 0),
    };
  }

  private async lastOf(streamId: string): Promise<Recorded | undefined> {
    const [last] = await this.readStream(streamId, { backwards: true, limit: 1 });
    return last;
  }

  /** Answers what is in the lane, and hangs it up. */
  async close(): Promise<void> {
    await this.parts.lane.close();
  }
}
