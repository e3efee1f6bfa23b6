import type { EventStore, NewEvent } from '../../src/event-store/event-store.ts';
import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Event } from '../../src/events/event.ts';
import { Database } from '../../src/platform/database.ts';
import { newId } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { Projection } from '../../src/projections/projection.ts';
import { PROJECTIONS } from '../../src/projections/catalog.ts';
import { type LiveOptions, LiveProjections } from '../../src/projections/live.ts';
import { tableHashes } from '../../src/projections/table-hash.ts';
import { createDatabase } from '../support/database.ts';

export const silent = createLogger('silent', 'test');

/** A database with an empty log and its read models, and all that a projector is made of. */
export class Ledger {
  readonly hints = new LocalLogHints();

  private constructor(
    readonly url: string,
    readonly database: Database,
    readonly store: EventStore,
    private readonly dispose: () => Promise<void>,
  ) {}

  static async open(): Promise<Ledger> {
    const { url, drop } = await createDatabase();
    const database = new Database(url, { max: 6, applicationName: 'test', logger: silent });
    const lane = appendLane({ databaseUrl: url, logger: silent });
    const hints = new LocalLogHints();
    const store = new PostgresEventStore({ database, lane, hints });
    const ledger = new Ledger(url, database, store, async () => {
      await lane.close();
      await database.close();
      await drop();
    });
    return Object.assign(ledger, { hints });
  }

  async close(): Promise<void> {
    await this.dispose();
  }

  /** Appends events to the end of a stream. */
  async append(streamId: string, ...events: readonly Event[]): Promise<bigint> {
    const result = await this.store.append({
      streamId,
      expected: 'any',
      events: events.map(withId),
    });
    if (result.status !== 'appended') throw new Error(`not appended: ${result.status}`);
    return result.lastPosition;
  }

  live(options: Partial<LiveOptions> = {}): LiveProjections {
    return new LiveProjections({
      database: this.database,
      store: this.store,
      logger: silent,
      projections: PROJECTIONS,
      ...options,
    });
  }

  /** Follows to the end of the log. */
  async catchUp(options: Partial<LiveOptions> = {}): Promise<LiveProjections> {
    const live = this.live(options);
    while (await live.round());
    const [behind] = await this.rows(
      `select name from read.projections where status = 'LIVE' and lag > 0`,
    );
    if (behind) throw new Error(`${String(behind['name'])} did not get to the end of the log`);
    return live;
  }

  rows(text: string): Promise<readonly Record<string, unknown>[]> {
    return this.database.query({ text, values: [] });
  }

  /** A number per view of `read` that the projections fill. */
  async hashes(projections: readonly Projection[] = PROJECTIONS): Promise<Record<string, string>> {
    const hashes: Record<string, string> = {};
    for (const projection of projections) {
      const views = Object.fromEntries(projection.tables.map(({ name }) => [name, `read.${name}`]));
      Object.assign(hashes, await tableHashes(this.database, projection, views));
    }
    return hashes;
  }
}

const withId = (event: Event): NewEvent => ({ ...event, id: newId() });
