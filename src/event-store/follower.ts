import type { Recorded } from '../events/event.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database, Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import {
  CheckpointLost,
  moveCheckpoint,
  moveCheckpointAlone,
  raiseEpoch,
  readCheckpoint,
} from './checkpoint.ts';
import type { EventStore, LogPage } from './event-store.ts';
import { Leadership, type Term } from './leadership.ts';
import type { LogHints } from './log-hints.ts';
import { Pace } from './pace.ts';

export type FollowerDefinition = Readonly<{
  /** Names the checkpoint and the lock: whoever has the same name is the same follower. */
  name: string;
  /** The event types it wants; all when left out. */
  types?: readonly string[];
  pageSize: number;
  /**
   * Handles a page, never an empty one. What it writes in `transaction` is committed with the checkpoint or not at
   * all; what it does elsewhere may be done again. What it throws is logged, and the page comes again.
   */
  handle: (page: readonly Recorded[], transaction: Queryable) => Promise<void>;
  /** Called each time it has come to the end of the log, after some progress or at the beginning of a term. */
  onCaughtUp?: () => void | Promise<void>;
}>;

export type FollowerParts = Readonly<{
  database: Database;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  logger: Logger;
  /** For the connection that holds the lock; no pooler in between. */
  databaseUrl: string;
}>;

/** A transaction that waits longer than this for its own process is ended by the server, with its locks. */
const FROZEN_MS = 15_000;

const REST_MS = 20;

/** So often the checkpoint is moved over events that the follower does not want; those of a page that it wants move it. */
const STORE_EVERY_MS = 1_000;

/** Where a follower stands, and what its checkpoint says of it: some unwanted events may lie between. */
type Place = { position: bigint; stored: bigint; storedAt: number };

/**
 * Reads the log from its own checkpoint, for ever, in one process at a time: the effect of each event counts exactly
 * once. It goes on by itself after any failure of Postgres or of its handler.
 */
export class Follower {
  private readonly leadership: Leadership;

  constructor(
    private readonly definition: FollowerDefinition,
    private readonly parts: FollowerParts,
  ) {
    const { databaseUrl, logger } = parts;
    this.leadership = new Leadership({ databaseUrl, name: definition.name, logger });
  }

  /** Follows whenever it leads, until `signal` aborts; then the page at hand is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    await this.leadership.lead(signal, (term) => this.follow(term));
  }

  /** Follows to the end of the log without the lock, taking the follower over from whoever leads; gives its checkpoint. */
  async catchUp(): Promise<bigint> {
    const { name } = this.definition;
    const epoch = await raiseEpoch(this.parts.database, name);
    const place = await this.place();
    for (;;) {
      const page = await this.takePage(place, epoch);
      if (page.more) continue;
      await this.store(place, epoch);
      return place.position;
    }
  }

  private async follow({ epoch, signal }: Term): Promise<void> {
    const pace = new Pace(this.parts.hints, REST_MS);
    let place: Place | undefined;
    let caughtUp = false;
    let failures = 0;
    while (!signal.aborted) {
      pace.begin();
      try {
        place ??= await this.place();
        const { position } = place;
        const page = await this.takePage(place, epoch);
        const passed = Number(page.to - position);
        failures = 0;
        if (!page.more && (passed > 0 || !caughtUp)) await this.definition.onCaughtUp?.();
        caughtUp ||= !page.more;
        await this.storeNowAndThen(place, epoch);
        await pace.next({ taken: passed, more: page.more }, signal);
      } catch (error) {
        if (error instanceof CheckpointLost) throw error;
        // Whether the page was committed is not known: the checkpoint says.
        place = undefined;
        failures++;
        this.logFailure(error, failures);
        await pause(backoffMs(failures), signal);
      }
    }
  }

  private async place(): Promise<Place> {
    const position = await readCheckpoint(this.parts.database, this.definition.name);
    return { position, stored: position, storedAt: performance.now() };
  }

  /** Reads one page from its place on, and handles what it wants of it in the transaction that moves the checkpoint. */
  private async takePage(place: Place, epoch: bigint): Promise<LogPage> {
    const { name, types, pageSize, handle } = this.definition;
    const page = await this.parts.store.readPage({ after: place.position, limit: pageSize, types });
    if (page.events.length > 0) {
      await this.parts.database.transaction(async (transaction) => {
        // What it derives can be derived again, so it need not wait for the disk.
        await transaction.query(sql`
          select set_config('synchronous_commit', 'off', true),
                 set_config('idle_in_transaction_session_timeout', ${String(FROZEN_MS)}, true)`);
        await handle(page.events, transaction);
        await moveCheckpoint(transaction, { name, epoch, from: place.stored, to: page.to });
      });
      place.stored = page.to;
      place.storedAt = performance.now();
    }
    place.position = page.to;
    return page;
  }

  private async storeNowAndThen(place: Place, epoch: bigint): Promise<void> {
    if (performance.now() - place.storedAt > STORE_EVERY_MS) await this.store(place, epoch);
  }

  /** Moves the checkpoint over what was not wanted. */
  private async store(place: Place, epoch: bigint): Promise<void> {
    const { stored: from, position: to } = place;
    place.storedAt = performance.now();
    if (from === to) return;
    const { name } = this.definition;
    await moveCheckpointAlone(this.parts.database, { name, epoch, from, to });
    place.stored = to;
  }

  private logFailure(error: unknown, failures: number): void {
    const { name } = this.definition;
    this.parts.logger.error({ err: error, follower: name, failures }, 'a page comes again');
  }
}
