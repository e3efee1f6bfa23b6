import {
  type GithubAttempt,
  type GithubHook,
  githubAttempts,
  githubHooks,
  redeliverAtGithub,
} from '../../hosts/github-hooks.ts';
import type { HostClient } from '../../hosts/host-client.ts';
import type { Queryable } from '../../platform/database.ts';
import { sql } from '../../platform/sql.ts';
import type { Asking, LostDelivery } from './report.ts';

/** GitHub sends again what is three days old at most. */
const REDELIVERABLE_MS = 71 * 3_600_000;
/** What came a moment ago may still be on its way, or in the spool. */
const UNDER_WAY_MS = 300_000;
/** So much is asked for of one hook in one run; the rest is for the next ones. */
const MOST = 100;

/**
 * Asks GitHub to send again what one repository's hooks have sent to the source and the log does not have, and adds it to
 * `found`. false: the token may not see the hooks.
 */
export async function reconcileDeliveries(
  repository: string,
  asking: Asking,
  found: LostDelivery[],
): Promise<boolean> {
  const hooks = await githubHooks(asking.client, repository);
  if (hooks === null) return false;
  const own = hooks.filter(({ url }) => isOf(url, asking.source.name));
  for (const hook of own) {
    // A hook of the organisation is one for all of its repositories.
    if (asking.hooksDone.has(hook.path)) continue;
    asking.hooksDone.add(hook.path);
    for await (const lost of reconcileHook(hook, asking)) found.push({ repository, ...lost });
  }
  return true;
}

/** Which address we have on the outside, nobody told us; which path, we know. */
function isOf(url: string, source: string): boolean {
  return URL.canParse(url) && new URL(url).pathname.endsWith(`/webhooks/${source}`);
}

async function* reconcileHook(
  hook: GithubHook,
  { client, database, source, now, dryRun, watermarks }: Asking,
): AsyncGenerator<Omit<LostDelivery, 'repository'>> {
  const oldest = new Date(now.getTime() - REDELIVERABLE_MS);
  const looked = watermarks.get(hook.path);
  const since = looked !== undefined && looked > oldest ? looked : oldest;
  const attempts = await attemptsOf(client, hook, { since, now });
  const missing = await notInLog(database, source.name, attempts);
  for (const attempt of missing.slice(0, MOST)) {
    const { guid, event, at, statusCode } = attempt;
    if (!dryRun) {
      await redeliverAtGithub(client, hook, attempt);
      await database.query(sql`
        insert into ingress.reconciled (source, delivery_id) values (${source.name}, ${guid})
        on conflict do nothing`);
    }
    yield { deliveryId: guid, event, at, statusCode };
  }
  if (dryRun) return;
  // All is asked for: what is older needs no second look.
  if (missing.length <= MOST) {
    watermarks.set(hook.path, new Date(now.getTime() - 2 * UNDER_WAY_MS));
  }
}

/** The last attempt of each delivery, the oldest first. */
async function attemptsOf(
  client: HostClient,
  hook: GithubHook,
  { since, now }: Readonly<{ since: Date; now: Date }>,
): Promise<readonly GithubAttempt[]> {
  const byGuid = new Map<string, GithubAttempt>();
  for await (const attempt of githubAttempts(client, hook, since)) {
    const isUnderWay = now.getTime() - attempt.at.getTime() < UNDER_WAY_MS;
    if (!isUnderWay && !byGuid.has(attempt.guid)) byGuid.set(attempt.guid, attempt);
  }
  return [...byGuid.values()].toReversed();
}

async function notInLog(
  database: Queryable,
  source: string,
  attempts: readonly GithubAttempt[],
): Promise<readonly GithubAttempt[]> {
  const guids = attempts.map(({ guid }) => guid);
  const known = await database.query<{ guid: string }>(sql`
    select delivery_key as guid from ingress.deliveries
    where source = ${source} and delivery_key = any (${guids}::text[])
    union
    select delivery_id from ingress.reconciled
    where source = ${source} and delivery_id = any (${guids}::text[])`);
  const there = new Set(known.map(({ guid }) => guid));
  return attempts.filter(({ guid }) => !there.has(guid));
}
