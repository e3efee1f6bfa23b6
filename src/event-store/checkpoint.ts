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

export type CheckpointMove = Readonly<{ name: string; epoch: bigint; from: bigint; to: bigint }>;

const lost = ({ name, epoch, from }: Omit<CheckpointMove, 'to'>): CheckpointLost =>
  new CheckpointLost(`${name} no longer stands at ${String(from)} in epoch ${String(epoch)}`);

/** Moves a checkpoint by compare-and-set, in the transaction that stores what was derived; throws `CheckpointLost`. */
export async function moveCheckpoint(
  transaction: Queryable,
  { name, epoch, from, to }: CheckpointMove,
): Promise<void> {
  const moved = await transaction.query(sql`
    update log.followers
    set position = ${String(to)}, updated_at = clock_timestamp()
    where name = ${name} and epoch = ${String(epoch)} and position = ${String(from)}
    returning 1`);
  if (moved.length === 0) throw lost({ name, epoch, from });
}

/**
 * The same in one call, for a follower that stores nothing in Postgres: a move that is lost in a crash of the server is
 * made again, so it need not wait for the disk.
 */
export async function moveCheckpointAlone(
  database: Queryable,
  { name, epoch, from, to }: CheckpointMove,
): Promise<void> {
  const moved = await database.query(sql`
    with no_wait as materialized (select set_config('synchronous_commit', 'off', true))
    update log.followers set position = ${String(to)}, updated_at = clock_timestamp()
    from no_wait
    where name = ${name} and epoch = ${String(epoch)} and position = ${String(from)}
    returning 1`);
  if (moved.length === 0) throw lost({ name, epoch, from });
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
