import { CheckpointLost, raiseEpoch, readCheckpoint } from '../event-store/checkpoint.ts';
import type { EventStore, LogPage } from '../event-store/event-store.ts';
import type { Term } from '../event-store/leadership.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { Pace } from '../event-store/pace.ts';
import type { JobEvent } from '../events/job.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database, Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { sql } from '../platform/sql.ts';
import { type Touched, writePage } from './control-tables.ts';
import { DISPATCHED_TYPES, foldPage } from './fold-page.ts';
import { DISPATCH } from './names.ts';

export type ControlFollowerParts = Readonly<{
  database: Queryable;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  logger: Logger;
  /** See `Step`. */
  promptEarlierMs?: number;
  /** Told of each page after it was committed. */
  onCommitted: (touched: Touched) => void;
}>;

const PAGE_SIZE = 1_000;
const ASSERT_EVERY_MS = 250;

const REST_MS = 20;

/**
 * Keeps the control tables up with the log. A follower of its own kind, because the reactions beside it work in the
 * same term, and are told of each page when it is committed.
 */
export class ControlFollower {
  constructor(private readonly parts: ControlFollowerParts) {}

  /** Follows until the term ends. `onCurrent` is called once the tables know all that the log held at the beginning. */
  async follow({ epoch, signal }: Term, onCurrent: () => void): Promise<void> {
    const { hints, logger, store } = this.parts;
    const pace = new Pace(hints, REST_MS);
    let position: bigint | undefined;
    let head: bigint | undefined;
    let failures = 0;
    let assertedAt = performance.now();
    while (!signal.aborted) {
      pace.begin();
      try {
        position ??= await readCheckpoint(this.parts.database, DISPATCH);
        head ??= await store.head();
        const page = await this.takePage(position, epoch);
        if (page.to === position && performance.now() - assertedAt > ASSERT_EVERY_MS) {
          await this.assertStillAt(position);
          assertedAt = performance.now();
        }
        const passed = Number(page.to - position);
        position = page.to;
        failures = 0;
        if (position >= head) onCurrent();
        await pace.next({ taken: passed, more: page.more }, signal);
      } catch (error) {
        if (error instanceof CheckpointLost) throw error;
        // Whether the page was committed is not known: the checkpoint says.
        position = undefined;
        failures++;
        logger.error({ err: error, follower: DISPATCH, failures }, 'a page comes again');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** A page that is written sees for itself who leads; while none comes, a reset has to be noticed too. */
  private async assertStillAt(position: bigint): Promise<void> {
    const checkpoint = await readCheckpoint(this.parts.database, DISPATCH);
    if (checkpoint !== position)
      throw new CheckpointLost(`${DISPATCH} was set to ${String(checkpoint)}`);
  }

  /** Folds to the end of the log, taking over from whoever leads. */
  async catchUp(pageSize = PAGE_SIZE): Promise<bigint> {
    const epoch = await raiseEpoch(this.parts.database, DISPATCH);
    let position = await readCheckpoint(this.parts.database, DISPATCH);
    for (;;) {
      const page = await this.takePage(position, epoch, pageSize);
      position = page.to;
      if (!page.more) return position;
    }
  }

  private async takePage(position: bigint, epoch: bigint, limit = PAGE_SIZE): Promise<LogPage> {
    const { database, store, onCommitted, promptEarlierMs = 0 } = this.parts;
    const page = await store.readPage({ after: position, limit, types: DISPATCHED_TYPES });
    if (page.to === position) return page;
    const folded = await foldPage(page.events, (jobId, before) =>
      store.readStream<JobEvent>(jobId, { to: before - 1 }),
    );
    const step = { epoch, from: position, to: page.to, promptEarlierMs };
    onCommitted(await writePage(database, folded, step));
    return page;
  }
}

/**
 * Empties the control tables and sets the follower to the beginning of the log: it derives all of it again. Jobs wait
 * meanwhile; whoever leads begins a new term.
 */
export async function resetDispatch(database: Pick<Database, 'transaction'>): Promise<void> {
  await database.transaction(async (transaction) => {
    // The checkpoint is locked before any of the tables, as a page does.
    await transaction.query(sql`select 1 from log.followers where name = ${DISPATCH} for update`);
    await transaction.query(sql`
      truncate dispatch.jobs, dispatch.waits, dispatch.signals, dispatch.used_signals,
        dispatch.bursts, dispatch.rate_starts`);
    await transaction.query(sql`
      update log.followers set position = 0, epoch = epoch + 1, updated_at = clock_timestamp()
      where name = ${DISPATCH}`);
  });
}
