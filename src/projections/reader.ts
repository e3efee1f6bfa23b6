import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { type Generation, followerName, tableNames } from './generations.ts';
import type { Projection, TableNames } from './projection.ts';
import { type LeftOut, NOTHING_LEFT_OUT, readLeftOut } from './poison.ts';
import { type Slot, parseSlotName } from './slots.ts';

/** One generation of a projection on its way through the log, and the right to move it. */
export type Reader = {
  readonly projection: Projection;
  readonly generation: number;
  readonly tables: TableNames;
  /** Of its checkpoint. */
  readonly name: string;
  readonly epoch: bigint;
  /** The last event that its rows have seen. */
  position: bigint;
  /** The share of all streams that it folds; null: all of them. */
  readonly slot: Slot | null;
  /** While a generation is filled: the readers of its slots, each at a place of its own. Else empty. */
  slots: readonly Reader[];
  /** What is not for its rows. */
  readonly leftOut: LeftOut;
};

/**
 * Takes the right to move a generation from whoever had it: that one's next commit fails. Gives null for a generation
 * that is not in this state, or is paused or failed. With `leader`, only while that epoch of the leadership lasts:
 * throws `LeadershipLost`.
 */
export async function claim(
  database: Database,
  wanted: Claim,
  leader: Leader | null = null,
): Promise<Reader | null> {
  return database.transaction(async (transaction) => {
    await transaction.query(sql`set local idle_in_transaction_session_timeout = '5s'`);
    return claimIn(transaction, wanted, leader);
  });
}

export type Claim = Readonly<{
  projection: Projection;
  generation: number;
  state: Generation['state'];
}>;

/** The same within a transaction: until its end, nobody else moves the generation. */
export async function claimIn(
  transaction: Queryable,
  { projection, generation, state }: Claim,
  leader: Leader | null = null,
): Promise<Reader | null> {
  const name = followerName(projection.name, generation);
  // Locked before the checkpoint, as everywhere: what pauses or retires it comes wholly before or wholly after.
  const [open] = await transaction.query(sql`
    select from projections.generations
    where name = ${projection.name} and generation = ${generation} and state = ${state}
      and not paused and error is null
    for share`);
  if (!open) return null;
  if (leader) await assertLeads(transaction, leader);
  const [claimed] = await transaction.query<ClaimedRow>(sql`
    update log.followers set epoch = epoch + 1 where name = ${name}
    returning name, epoch::text as epoch, position::text as position`);
  if (!claimed) return null;
  const slots = await transaction.query<ClaimedRow>(sql`
    update log.followers set epoch = epoch + 1 where starts_with(name, ${`${name}/`})
    returning name, epoch::text as epoch, position::text as position`);
  const leftOut = await readLeftOut(transaction, projection.name, generation);
  const of = { projection, generation, tables: tableNames(projection, generation) };
  return {
    ...readerOf(claimed, of, null),
    slots: slots.map((slot) => readerOf(slot, of, parseSlotName(slot.name))),
    leftOut,
  };
}

type ClaimedRow = Readonly<{ name: string; epoch: string; position: string }>;

const readerOf = (
  { name, epoch, position }: ClaimedRow,
  { projection, generation, tables }: Pick<Reader, 'projection' | 'generation' | 'tables'>,
  slot: Slot | null,
): Reader => ({
  projection,
  generation,
  tables,
  name,
  epoch: BigInt(epoch),
  position: BigInt(position),
  slot,
  slots: [],
  leftOut: NOTHING_LEFT_OUT,
});

/** Who leads, and since which epoch. */
export type Leader = Readonly<{ name: string; epoch: bigint }>;

/** Another process leads now. */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';
}

async function assertLeads(database: Queryable, { name, epoch }: Leader): Promise<void> {
  const [leads] = await database.query(sql`
    select from log.followers where name = ${name} and epoch = ${String(epoch)}`);
  if (!leads) throw new LeadershipLost(`Another process leads the ${name}`);
}

/** Readers that stand at one place, and the next place where others stand: up to there they may share their pages. */
export type Group = Readonly<{ readers: readonly Reader[]; after: bigint; upTo: bigint | null }>;

/** Lowest first. */
export function groupByPosition(readers: readonly Reader[]): readonly Group[] {
  const positions = [...new Set(readers.map(({ position }) => position))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  return positions.map((after, index) => ({
    readers: readers.filter(({ position }) => position === after),
    after,
    upTo: positions[index + 1] ?? null,
  }));
}
