import { CheckpointLost } from '../event-store/checkpoint.ts';
import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { followerName, showGeneration, tableNames } from './generations.ts';
import { arrive, projectPageIn } from './page.ts';
import type { Reader } from './reader.ts';
import { tableHashes } from './table-hash.ts';

/** More than so many events behind, the new generation catches up first: the live one stands still meanwhile. */
const LAST_STEP = 2_000;

export type CutOver =
  | Readonly<{ outcome: 'swapped' | 'compared'; verified: boolean | null }>
  /** The live one is further than one short step ahead. */
  | Readonly<{ outcome: 'behind' }>
  /** The new one is ahead of the live one, so their rows cannot be compared. */
  | Readonly<{ outcome: 'ahead' }>
  | Readonly<{ outcome: 'different'; tables: readonly string[] }>;

export type CutOverOptions = Readonly<{
  database: Database;
  store: EventStore;
  /** The generation that is live now; null when there is none. */
  blue: number | null;
  /** Swap only if the rows are the same at the same position. */
  verify: boolean;
  /** Compare, and leave what is live. */
  shadow: boolean;
}>;

/**
 * One short transaction that makes the new generation the live one. It holds the live checkpoint still, brings the
 * new one to it, and swaps the views: a reader sees the old rows or the new ones, never older or half-built ones.
 * The old generation stays, for a rollback. Throws `CheckpointLost`, or `lock_not_available` when readers were in
 * the way: try again.
 */
export async function cutOver(green: Reader, options: CutOverOptions): Promise<CutOver> {
  let step: readonly Recorded[] = [];
  const result = await options.database.transaction<CutOver>(async (transaction) => {
    await transaction.query(sql`set local lock_timeout = '500ms'`);
    const bluePosition = await holdStill(transaction, green, options.blue);
    if (bluePosition > green.position) {
      if (bluePosition - green.position > BigInt(LAST_STEP)) return { outcome: 'behind' };
      step = await options.store.readAll({
        after: green.position,
        upTo: bluePosition,
        limit: LAST_STEP,
      });
      await projectPageIn(transaction, [green], step);
    }
    const different = options.verify ? await compare(transaction, green, options.blue) : null;
    if (different && bluePosition < green.position) return { outcome: 'ahead' };
    if (different && different.length > 0) return { outcome: 'different', tables: different };
    const verified = different ? true : null;
    if (options.shadow) return { outcome: 'compared', verified };
    await swap(transaction, green, options.blue);
    return { outcome: 'swapped', verified };
  });
  arrive([green], step);
  return result;
}

/** Locks both generations and their checkpoints, so that neither moves until the end; gives where the live one is. */
async function holdStill(
  transaction: Queryable,
  green: Reader,
  blue: number | null,
): Promise<bigint> {
  const { name } = green.projection;
  const locked = await transaction.query<{ generation: number; state: string }>(sql`
    select generation, state from projections.generations
    where name = ${name} and (generation = ${green.generation} or state = 'LIVE')
    order by generation for update`);
  const blueName = blue === null ? null : followerName(name, blue);
  const rows = await transaction.query<{ name: string; position: string; epoch: string }>(sql`
    select name, position::text as position, epoch::text as epoch from log.followers
    where name in (${green.name}, ${blueName}) order by name for update`);
  const live = locked.find(({ state }) => state === 'LIVE')?.generation ?? null;
  const mine = rows.find((row) => row.name === green.name);
  if (live !== blue || mine?.epoch !== String(green.epoch)) {
    throw new CheckpointLost(`Another process rebuilds ${name}, or has cancelled this rebuild`);
  }
  // A commit whose answer was lost: the caller looks where it stands.
  if (mine.position !== String(green.position)) throw new Error(`${green.name} has moved`);
  return BigInt(rows.find((row) => row.name === blueName)?.position ?? 0);
}

/** The tables whose rows differ between the two. */
async function compare(
  transaction: Queryable,
  { projection, generation }: Reader,
  blue: number | null,
): Promise<readonly string[]> {
  if (blue === null) return [];
  const rebuilt = await tableHashes(transaction, projection, tableNames(projection, generation));
  const live = await tableHashes(transaction, projection, tableNames(projection, blue));
  return Object.keys(rebuilt).filter((table) => rebuilt[table] !== live[table]);
}

async function swap(transaction: Queryable, green: Reader, blue: number | null): Promise<void> {
  const { name } = green.projection;
  if (blue !== null) {
    await transaction.query(sql`
      update projections.generations
      set state = 'RETIRED', events_per_second = null, updated_at = clock_timestamp()
      where name = ${name} and generation = ${blue} and state = 'LIVE'`);
    // Whoever follows it is to look again.
    await transaction.query(sql`
      update log.followers set epoch = epoch + 1 where name = ${followerName(name, blue)}`);
  }
  await transaction.query(sql`
    update projections.generations
    set state = 'LIVE', paused = false, error = null, events_per_second = null, updated_at = clock_timestamp()
    where name = ${name} and generation = ${green.generation}`);
  // Last, as it is what readers wait for.
  await showGeneration(transaction, green.projection, green.generation);
}
