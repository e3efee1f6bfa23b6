import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { followerName, tableNames } from './generations.ts';
import type { Projection, TableNames } from './projection.ts';

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
};

/**
 * Takes the right to move a generation from whoever had it: that one's next commit fails. With `leader`, only while
 * that epoch of the leadership lasts. Gives null when the right was not given.
 */
export async function claim(
  database: Queryable,
  projection: Projection,
  generation: number,
  leader?: Readonly<{ name: string; epoch: bigint }>,
): Promise<Reader | null> {
  const name = followerName(projection.name, generation);
  const [row] = await database.query<{ epoch: string; position: string }>(sql`
    update log.followers set epoch = epoch + 1
    where name = ${name} and (${leader?.name ?? null}::text is null or exists (
      select from log.followers as leader
      where leader.name = ${leader?.name ?? null} and leader.epoch = ${String(leader?.epoch ?? 0n)}
    ))
    returning epoch::text as epoch, position::text as position`);
  if (!row) return null;
  return {
    projection,
    generation,
    tables: tableNames(projection, generation),
    name,
    epoch: BigInt(row.epoch),
    position: BigInt(row.position),
  };
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
