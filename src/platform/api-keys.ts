import { randomBytes } from 'node:crypto';

import { type Access, hashOf, type KeptKey, type Role } from './access.ts';
import { pause } from './backoff.ts';
import type { Queryable } from './database.ts';
import { newId } from './ids.ts';
import type { Logger } from './logger.ts';
import { sql } from './sql.ts';

export type StoredKey = Readonly<{
  id: string;
  name: string;
  role: Role;
  createdAt: Date;
  revokedAt: Date | null;
}>;

/** Makes a key, and gives it for the only time; null when the name is taken. */
export async function createApiKey(
  database: Queryable,
  { name, role }: Readonly<{ name: string; role: Role }>,
): Promise<string | null> {
  const key = `jl_${randomBytes(24).toString('base64url')}`;
  const rows = await database.query(sql`
    insert into access.api_keys (id, name, role, key_sha256)
    values (${newId()}, ${name}, ${role}, ${hashOf(key)})
    on conflict (name) do nothing returning 1`);
  return rows.length === 0 ? null : key;
}

export function listApiKeys(database: Queryable): Promise<readonly StoredKey[]> {
  return database.query(sql`
    select id, name, role, created_at as "createdAt", revoked_at as "revokedAt"
    from access.api_keys order by created_at`);
}

/** Says whether there was such a key, by its name or id. */
export async function revokeApiKey(database: Queryable, nameOrId: string): Promise<boolean> {
  const rows = await database.query(sql`
    update access.api_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
    where name = ${nameOrId} or id::text = ${nameOrId} returning 1`);
  return rows.length > 0;
}

const REFRESH_MS = 2_000;

/** Keeps `access` to the keys that are valid now, until `signal` aborts: a revoked one is let go within seconds. */
export async function followApiKeys(
  { database, access, logger }: Readonly<{ database: Queryable; access: Access; logger: Logger }>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await pause(REFRESH_MS, signal);
    try {
      access.replaceStored(await validKeys(database));
    } catch (error) {
      logger.warn({ err: error }, 'the API keys could not be read: those known before stay valid');
    }
  }
}

/** The keys that are not revoked. */
export async function validKeys(database: Queryable): Promise<readonly KeptKey[]> {
  const rows = await database.query<{ name: string; role: Role; hash: Buffer }>(sql`
    select name, role, key_sha256 as hash from access.api_keys where revoked_at is null`);
  return rows.map(({ name, role, hash }) => ({ viewer: { name, role }, hash }));
}
