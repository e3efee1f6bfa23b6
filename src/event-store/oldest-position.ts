import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

/** The first position that can still be read, of the archive too; 0 for an empty log. */
export async function oldestPosition(database: Queryable): Promise<bigint> {
  const [row] = await database.query<{ position: string }>(sql`
    select coalesce(least(
      (select min(position) from log.events), (select min(position) from archive.events)
    ), 0)::text as position`);
  return BigInt(row?.position ?? 0);
}
