import { isSiteOf } from '../../hosts/public-sites.ts';
import type { Queryable } from '../../platform/database.ts';
import { sql } from '../../platform/sql.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';

const SEEN_DAYS = 14;
const MOST = 500;

type Seen = Readonly<{ repository: string; clone_url: string | null }>;

/**
 * The repositories to ask a host about: those that the source is for, or, where it is for all, those that it has told of
 * lately. Only of the host whose API it is: another server may have others of the same names.
 */
export async function repositoriesOf(
  database: Queryable,
  { name, repositories }: WebhookSource,
  { apiUrl, now }: Readonly<{ apiUrl: string; now: Date }>,
): Promise<readonly string[]> {
  const seen = await seenLately(database, name, new Date(now.getTime() - SEEN_DAYS * 86_400_000));
  const ofHost = seen.filter(({ clone_url: url }) => isSiteOf(apiUrl, url));
  if (repositories === null) return ofHost.map(({ repository }) => repository);
  // Nothing was seen yet, or what was seen is of that host: then so are the ones that are configured.
  const isOfHost = seen.length === 0 || ofHost.length > 0;
  return isOfHost ? repositories.slice(0, MOST) : [];
}

/** One look at the index for each repository of the log, and one more for whether the source told of it lately. */
function seenLately(database: Queryable, source: string, since: Date): Promise<readonly Seen[]> {
  return database.query<Seen>(sql`
    with recursive named (repository) as (
      (select repository from ingress.deliveries where repository is not null order by repository limit 1)
      union all
      select (
        select next.repository from ingress.deliveries as next
        where next.repository > named.repository order by next.repository limit 1)
      from named where named.repository is not null
    )
    select named.repository, latest.clone_url
    from named
    cross join lateral (
      select triggers -> 0 -> 'repository' ->> 'cloneUrl' as clone_url
      from ingress.deliveries
      where repository = named.repository and source = ${source} and received_at > ${since}
      order by received_at desc limit 1
    ) as latest
    where named.repository is not null
    limit ${MOST}`);
}
