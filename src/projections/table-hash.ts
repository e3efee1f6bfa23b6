import type { Queryable } from '../platform/database.ts';
import type { Projection, TableNames } from './projection.ts';

/** A number per table that follows from all its rows, whatever their order; other rows give another one. */
export async function tableHashes(
  database: Queryable,
  { tables }: Projection,
  names: TableNames,
): Promise<Readonly<Record<string, string>>> {
  const hashes: Record<string, string> = {};
  for (const { name } of tables) {
    const [row] = await database.query<{ hash: string }>({
      text: `
        select count(*) || ':' || coalesce(sum(hashtextextended(stored::text, 0)::numeric), 0) as hash
        from ${String(names[name])} as stored`,
      values: [],
    });
    hashes[name] = row?.hash ?? '';
  }
  return hashes;
}
