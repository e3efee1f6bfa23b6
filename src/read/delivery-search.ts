import type { Queryable } from '../platform/database.ts';
import { uuidIn } from '../platform/ids.ts';
import { type Statement, sql } from '../platform/sql.ts';

/** So many names that hold the text are looked for. */
const MOST = 500;

/**
 * The condition for a text that stands in the name of the repository, of the source or of the event, in upper or lower
 * case, or is the delivery's id. The names are few and found one by one in their indexes; the deliveries are then found
 * by whole names, so that no text is looked for in every row.
 */
export async function searchCondition(database: Queryable, text: string): Promise<Statement> {
  const [row] = await database.query<Names>(sql`
    select array(${names(sql`repository`, text)}) as repositories, array(${names(sql`source`, text)}) as sources,
      array(${names(sql`event`, text)}) as events`);
  const { repositories = [], sources = [], events = [] } = row ?? {};
  return sql`(
    d.repository = any(${repositories}::text[]) or d.source = any(${sources}::text[])
    or d.event = any(${events}::text[]) or d.delivery_id = ${text} or d.id = any(${uuidIn(text)}::uuid[]))`;
}

type Names = Readonly<Record<'repositories' | 'sources' | 'events', readonly string[]>>;

/** The different values of a column that has an index, each found by looking for the next. */
const names = (column: Statement, text: string): Statement => sql`
  with recursive named (name) as (
    (select ${column} from ingress.deliveries where ${column} is not null order by ${column} limit 1)
    union all
    select (select next.${column} from ingress.deliveries as next where next.${column} > named.name order by next.${column} limit 1)
    from named where named.name is not null
  )
  select name from named where position(lower(${text}) in lower(name)) > 0 limit ${MOST}`;
