import type { Queryable } from '../../platform/database.ts';
import { sql } from '../../platform/sql.ts';

/** The names of all sources that the delivery log has anything of: one look at the index for each. */
export async function sourcesInLog(database: Queryable): Promise<readonly string[]> {
  const rows = await database.query<{ source: string }>(sql`
    with recursive found (source) as (
      (select source from ingress.deliveries order by source limit 1)
      union all
      select (select next.source from ingress.deliveries as next where next.source > found.source order by next.source limit 1)
      from found where found.source is not null
    )
    select source from found where source is not null`);
  return rows.map(({ source }) => source);
}
