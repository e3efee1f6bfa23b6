import type { Database, Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { type Generation, followerName, tableNames } from './generations.ts';
import { NOTHING_LEFT_OUT, readLeftOut } from './poison.ts';
import type { Projection } from './projection.ts';
import type { Reader, Slot } from './reader.ts';
import { parseSlotName } from './slots.ts';

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
