import { ControlFollower } from '../../src/dispatch/control-follower.ts';
import type { Touched } from '../../src/dispatch/control-tables.ts';
import { DispatchCounts } from '../../src/dispatch/dispatch-counts.ts';
import type { EventStore, NewEvent } from '../../src/event-store/event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import type { Event, Json } from '../../src/events/event.ts';
import type { JobEvent } from '../../src/events/job.ts';
import type { OutgoingMessage, QueueDepth } from '../../src/messaging/transport.ts';
import { NotConfirmed } from '../../src/messaging/transport.ts';
import { Database, type Queryable } from '../../src/platform/database.ts';
import { newId } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { sql } from '../../src/platform/sql.ts';
import type { Door } from '../../src/write/door.ts';
import { createDatabase } from '../support/database.ts';
import { inMemoryDoor } from '../support/in-memory-door.ts';

export const silent = createLogger('silent', 'test');

type Row = Record<string, unknown>;

/** A migrated database with a log, and what the dispatcher makes of it. */
export class Ledger {
  readonly counts = new DispatchCounts();
  now = new Date('2026-11-20T12:00:00.000Z');
  readonly clock = (): Date => this.now;
  readonly url: string;
  readonly database: Database;
  private current: EventStore;
  readonly hints: LocalLogHints;

  private constructor(
    parts: Pick<Ledger, 'url' | 'database' | 'hints'>,
    private readonly newStore: () => EventStore,
    private readonly dispose: () => Promise<void>,
  ) {
    this.url = parts.url;
    this.database = parts.database;
    this.hints = parts.hints;
    this.current = newStore();
  }

  get store(): EventStore {
    return this.current;
  }

  get door(): Door {
    return inMemoryDoor(this.store);
  }

  static async open(): Promise<Ledger> {
    const { url, drop } = await createDatabase();
    const database = new Database(url, { max: 6, applicationName: 'test', logger: silent });
    const lane = appendLane({ databaseUrl: url, logger: silent });
    const hints = new LocalLogHints();
    const newStore = (): EventStore => new PostgresEventStore({ database, lane, hints });
    return new Ledger({ url, database, hints }, newStore, async () => {
      await lane.close();
      await database.close();
      await drop();
    });
  }

  async close(): Promise<void> {
    await this.dispose();
  }

  /** Back to an empty log, which only a superuser without triggers can do. */
  async wipe(): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await transaction.query(sql`set local session_replication_role = replica`);
      await transaction.query(sql`
        with a as (delete from dispatch.jobs), b as (delete from dispatch.waits),
             c as (delete from dispatch.signals), d as (delete from dispatch.used_signals),
             e as (delete from dispatch.workers), f as (delete from dispatch.progress),
             g as (delete from log.followers), h as (delete from dispatch.bursts),
             i as (delete from dispatch.rate_starts), k as (delete from dispatch.declarations),
             l as (delete from dispatch.schedules)
        delete from log.events`);
    });
    // The old one remembers what it has read.
    this.current = this.newStore();
  }

  /** Appends events to the end of a stream; gives the position of the last. */
  async append(streamId: string, ...events: readonly Event[]): Promise<bigint> {
    const result = await this.store.append({
      streamId,
      expected: 'any',
      events: events.map(withId),
    });
    if (result.status !== 'appended') throw new Error(`not appended: ${result.status}`);
    return result.lastPosition;
  }

  signal(id: string, event: string, key: string | null = null, payload: Json = null) {
    return this.append(id, {
      type: 'SignalReceived',
      at: this.now,
      data: { event, key, payload },
    });
  }

  /** Folds to the end of the log; gives what the pages touched. */
  async fold(
    options: {
      pageSize?: number;
      database?: Queryable;
      store?: EventStore;
      promptEarlierMs?: number;
    } = {},
  ): Promise<readonly Touched[]> {
    const touched: Touched[] = [];
    await new ControlFollower({
      database: options.database ?? this.database,
      store: options.store ?? this.store,
      hints: this.hints,
      logger: silent,
      promptEarlierMs: options.promptEarlierMs ?? 0,
      onCommitted: (page) => {
        touched.push(page);
      },
    }).catchUp(options.pageSize);
    return touched;
  }

  rows<R extends Row = Row>(text: string): Promise<readonly R[]> {
    return this.database.query<R>({ text, values: [] });
  }

  async job(jobId: string): Promise<Row | undefined> {
    const [row] = await this.database.query(
      sql`select * from dispatch.jobs where job_id = ${jobId}`,
    );
    return row;
  }

  async events(jobId: string): Promise<readonly JobEvent[]> {
    return this.store.readStream<JobEvent & Event>(jobId);
  }

  async types(jobId: string): Promise<readonly string[]> {
    return (await this.events(jobId)).map(({ type }) => type);
  }
}

const withId = (event: Event): NewEvent => ({ ...event, id: newId() });

/** A broker that does what the test says. */
export class FakeTransport {
  readonly published: OutgoingMessage[] = [];
  ready = true;
  /** What to refuse. */
  refuse: (message: OutgoingMessage) => boolean = () => false;
  /** null: cannot be counted. */
  depth: number | null = 0;

  publish(message: OutgoingMessage): Promise<void> {
    if (!this.ready || this.refuse(message)) return Promise.reject(new NotConfirmed('refused'));
    this.published.push(message);
    return Promise.resolve();
  }

  isReady(): boolean {
    return this.ready;
  }

  queues(): Promise<readonly QueueDepth[]> {
    const name = 'workflow.jobs.queue';
    if (this.depth === null) return Promise.reject(new Error('away'));
    return Promise.resolve([{ name, ready: this.depth, unacknowledged: null, consumers: null }]);
  }

  /** The ids of the jobs that were hinted, in order, and forgets them. */
  hintedJobs(): readonly string[] {
    return this.published.splice(0).map(({ body }) => (body as { jobId: string }).jobId);
  }
}
