import { readCheckpoint } from '../event-store/checkpoint.ts';
import { MIRROR } from '../mirror/mirror.ts';
import type { Config } from '../platform/config.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { Vault, WrongPrivacyKey } from '../privacy/vault.ts';
import type { Check } from './check.ts';

const MAX_LAG = 10_000;

/** The mirror and the sealed names, where there are any. */
export async function checkKeeping(
  database: Queryable,
  { eventStoreDbUrl, privacyKey }: Config,
): Promise<readonly Check[]> {
  return [
    ...(eventStoreDbUrl === null ? [] : [await checkMirror(database)]),
    ...(await checkPrivacy(database, privacyKey)),
  ];
}

async function checkMirror(database: Queryable): Promise<Check> {
  const [log] = await database.query<{ head: string }>(
    sql`select coalesce(max(position), 0)::text as head from log.events`,
  );
  const lag = Number(BigInt(log?.head ?? 0) - (await readCheckpoint(database, MIRROR)));
  const isFar = lag > MAX_LAG;
  return {
    name: 'mirror',
    result: isFar ? 'warn' : 'ok',
    message: `${String(lag)} events behind`,
    fix: isFar ? "is EventStoreDB there? A projector's log says what it waits for" : null,
  };
}

async function checkPrivacy(
  database: Queryable,
  privacyKey: string | null,
): Promise<readonly Check[]> {
  const [row] = await database.query<{ sealed: boolean }>(
    sql`select exists (select from privacy.subjects) as sealed`,
  );
  if (privacyKey === null) {
    if (row?.sealed !== true) return [];
    const fix = 'set the PRIVACY_KEY that they were sealed with, at every role';
    return [{ name: 'privacy', result: 'fail', message: 'names are sealed', fix }];
  }
  try {
    await new Vault(database, privacyKey).check();
    return [{ name: 'privacy', result: 'ok', message: 'names are sealed', fix: null }];
  } catch (error) {
    if (!(error instanceof WrongPrivacyKey)) throw error;
    return [
      { name: 'privacy', result: 'fail', message: error.message, fix: 'set the earlier one' },
    ];
  }
}
