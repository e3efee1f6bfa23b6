import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

/** Somebody else leads this follower now, or has moved its checkpoint: what was done here must be rolled back. */
export class CheckpointLost extends Error {
  override readonly name = 'CheckpointLost';
}

/** How far a follower has read; 0 for one that has never run. */
export async function readCheckpoint(database: Queryable, name: string): Promise<bigint> {
  const [row] = await database.query<{ position: string }>(
    sql`select position::text as position from log.followers where name = ${name}`,
  );
  return BigInt(row?.position ?? 0);
}

/** Moves a checkpoint by compare-and-set, in the transaction that stores what was derived; throws `CheckpointLost`. */
export async function moveCheckpoint(
  transaction: Queryable,
  move: Readonly<{ name: string; epoch: bigint; from: bigint; to: bigint }>,
): Promise<void> {
  const moved = await transaction.query(sql`
    update log.followers
    set position = ${String(move.to)}, updated_at = clock_timestamp()
    where name = ${move.name} and epoch = ${String(move.epoch)} and position = ${String(move.from)}
    returning 1`);
  if (moved.length === 0) {
    throw new CheckpointLost(
      `${move.name} no longer stands at ${String(move.from)} in epoch ${String(move.epoch)}`,
    );
  }
}

/** Makes every earlier leader of this follower a zombie that can move nothing; gives the new epoch. */
export async function raiseEpoch(database: Queryable, name: string): Promise<bigint> {
  const [row] = await database.query<{ epoch: string }>(sql`
    insert into log.followers as follower (name, epoch) values (${name}, 1)
    on conflict (name) do update set epoch = follower.epoch + 1, updated_at = clock_timestamp()
    returning epoch::text as epoch`);
  if (!row) throw new Error(`The epoch of ${name} was not raised`);
  return BigInt(row.epoch);
}
