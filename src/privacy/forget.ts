import { randomUUID } from 'node:crypto';

import type { EventStore } from '../event-store/event-store.ts';
import type { Json } from '../events/event.ts';
import { SUBJECT_FORGOTTEN, type SubjectEvent } from '../events/subject.ts';
import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';
import { spellings, withoutNames } from './spellings.ts';
import type { Vault } from './vault.ts';

/** What is held of a person, by the names that were given: logins, mail addresses, a name as it is written. */
export type Held = Readonly<{
  /** How many of the names have a key of their own. */
  subjects: number;
  /** Events in which a name is sealed: without their keys they say nothing of the person. */
  sealedEvents: number;
  /** Deliveries whose body, headers or triggers have a name in them. */
  deliveries: number;
  /** Events with a name that was never sealed: they cannot be changed. */
  plainEvents: number;
  /** Some of the jobs that these are of. */
  plainJobs: readonly string[];
}>;

type Parts = Readonly<{ database: Queryable; vault: Vault | null }>;

const MOST_JOBS = 20;
const DELIVERIES_AT_ONCE = 200;

/** Reads the whole log and all deliveries: it takes as long as that does. */
export async function held({ database, vault }: Parts, names: readonly string[]): Promise<Held> {
  const subjects: string[] = [];
  for (const name of names) {
    const id = (await vault?.find(name)) ?? null;
    if (id !== null) subjects.push(id);
  }
  return {
    subjects: subjects.length,
    sealedEvents: await sealedEvents(database, subjects),
    deliveries: (await deliveriesOf(database, names)).length,
    ...(await plainEvents(database, names)),
  };
}

async function sealedEvents(database: Queryable, subjects: readonly string[]): Promise<number> {
  if (subjects.length === 0) return 0;
  const [row] = await database.query<{ events: number }>(sql`
    select count(*)::float8 as events from log.all_events as event
    where exists (
      select from unnest(${subjects}::text[]) as subject (id)
      where strpos(event.data::text, 'sealed:' || subject.id) > 0
        or strpos(event.metadata::text, 'sealed:' || subject.id) > 0
    )`);
  return row?.events ?? 0;
}

async function plainEvents(
  database: Queryable,
  names: readonly string[],
): Promise<Pick<Held, 'plainEvents' | 'plainJobs'>> {
  const [row] = await database.query<{ events: number; jobs: readonly string[] | null }>(sql`
    select count(*)::float8 as events, (array_agg(distinct stream_id))[1:${MOST_JOBS}::int] as jobs
    from log.all_events as event
    where ${anyIn(names, sql`event.data::text || event.metadata::text`)}`);
  return { plainEvents: row?.events ?? 0, plainJobs: row?.jobs ?? [] };
}

/**
 * Erases a person: the keys of the names are destroyed, and the bodies, the headers and the names in the triggers of
 * the deliveries that have one of them. The rows stay, so that a delivery that comes again is still known. Says so in
 * the log, without saying who it was. What was held besides is in the answer.
 */
export async function forget(
  parts: Parts & Readonly<{ store: EventStore }>,
  { names, actor, at }: Readonly<{ names: readonly string[]; actor: string; at: Date }>,
): Promise<Held> {
  const before = await held(parts, names);
  const { database, vault, store } = parts;
  const ids = await deliveriesOf(database, names);
  for (let index = 0; index < ids.length; index += DELIVERIES_AT_ONCE) {
    await strip(database, ids.slice(index, index + DELIVERIES_AT_ONCE), names);
  }
  const subjects: (string | null)[] = [];
  for (const name of names) subjects.push((await vault?.forget(name)) ?? null);
  const known = subjects.filter((subject) => subject !== null);
  for (const subject of known.length > 0 ? known : [null]) {
    const data: SubjectEvent['data'] = { subject, deliveries: ids.length };
    await store.append({
      streamId: `subject-${subject ?? randomUUID()}`,
      expected: 'any',
      events: [{ type: SUBJECT_FORGOTTEN, at, data, id: randomUUID(), metadata: { actor } }],
    });
  }
  return before;
}

async function deliveriesOf(
  database: Queryable,
  names: readonly string[],
): Promise<readonly string[]> {
  const rows = await database.query<{ id: string }>(sql`
    select delivery.id from ingress.deliveries as delivery
    where ${anyIn(names, sql`encode(delivery.body, 'escape')`)}
      or ${anyIn(names, sql`delivery.triggers::text || delivery.headers::text`)}`);
  return rows.map(({ id }) => id);
}

async function strip(
  database: Queryable,
  ids: readonly string[],
  names: readonly string[],
): Promise<void> {
  const rows = await database.query<{ id: string; triggers: Json }>(sql`
    select id, triggers from ingress.deliveries where id = any (${ids}::uuid[])`);
  const triggers = rows.map((row) => JSON.stringify(withoutNames(row.triggers, names)));
  await database.query(sql`
    update ingress.deliveries as delivery
    set body = null, body_removed_at = coalesce(body_removed_at, clock_timestamp()), headers = '{}',
      triggers = stripped.triggers::json
    from unnest(${rows.map(({ id }) => id)}::uuid[], ${triggers}::text[]) as stripped (id, triggers)
    where delivery.id = stripped.id`);
}

/** Whether a text, or bytes that are shown as one, has any of the names in it, however they are spelt. */
function anyIn(names: readonly string[], text: Statement): Statement {
  const all = names.flatMap(spellings).map((spelling) => Buffer.from(spelling));
  return sql`exists (
    select from unnest(${all}::bytea[]) as spelling (bytes)
    where strpos(lower(${text}), lower(encode(spelling.bytes, 'escape'))) > 0
      or strpos(lower(${text}), lower(convert_from(spelling.bytes, 'UTF8'))) > 0
  )`;
}
