import { createHmac, randomBytes, randomUUID } from 'node:crypto';

import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { SEALED, decrypt, derivedKey, encrypt, openedText, sealedText } from './sealed-text.ts';

/** `PRIVACY_KEY` is another one than the one that the names were sealed with. */
export class WrongPrivacyKey extends Error {
  override readonly name = 'WrongPrivacyKey';
}

type Subject = Readonly<{ id: string; key: Buffer }>;
type Row = Readonly<{ id: string; sealed_key: Buffer }>;
type Kept<T> = Readonly<{ value: T; until: number }>;

/** For so long a process may read what another one has had erased. */
const KEEP_MS = 5_000;
const MAX_KEPT = 10_000;

/**
 * Seals texts that name a person, each with a key of that person, and opens them. A key that is gone has been erased
 * with the person: what it sealed is null from then on, wherever it is kept.
 */
export class Vault {
  private readonly nameKey: Buffer;
  private readonly keyKey: Buffer;
  private readonly byName = new Map<string, Kept<Subject>>();
  private readonly byId = new Map<string, Kept<Buffer | null>>();

  constructor(
    private readonly database: Queryable,
    secret: string,
  ) {
    this.nameKey = derivedKey(secret, 'names');
    this.keyKey = derivedKey(secret, 'keys');
  }

  /** The text as only the vault can read it, until the one it names is erased. */
  async seal(name: string, text = name): Promise<string> {
    const { id, key } = await this.subject(name);
    return sealedText(id, key, text);
  }

  /** What `seal` has made of it; the name itself, which is stored nowhere, when it was never sealed. */
  async sealKnown(name: string): Promise<string> {
    const subject = await this.known(name);
    return subject ? sealedText(subject.id, subject.key, name) : name;
  }

  /** The same value with every sealed text in it opened: null for one that was erased. */
  async open<T>(value: T): Promise<T> {
    const ids = new Set<string>();
    visitTexts(value, (text) => {
      for (const [, id = ''] of text.matchAll(SEALED)) ids.add(id);
    });
    if (ids.size === 0) return value;
    const keys = await this.keysOf(ids);
    return mapTexts(value, (text) => openAll(text, keys)) as T;
  }

  /** Throws `WrongPrivacyKey` when names were sealed with another one. */
  async check(): Promise<void> {
    const rows = await this.database.query<Row>(sql`
      select id, sealed_key from privacy.subjects limit 1`);
    for (const row of rows) this.keyIn(row);
  }

  /** Under which id the subject of a name is, if there is one. */
  async find(name: string): Promise<string | null> {
    return (await this.known(name))?.id ?? null;
  }

  /** Destroys the key of a name's subject; gives the subject's id, or null when there is none. */
  async forget(name: string): Promise<string | null> {
    const rows = await this.database.query<Row>(sql`
      delete from privacy.subjects where name_hmac = ${this.hmac(name)} returning id, sealed_key`);
    this.forgetKept();
    return rows[0]?.id ?? null;
  }

  /** Keys are asked for anew: one of them may have been erased. */
  forgetKept(): void {
    this.byName.clear();
    this.byId.clear();
  }

  private async subject(name: string): Promise<Subject> {
    const known = await this.known(name);
    if (known) return known;
    const sealedKey = encrypt(this.keyKey, randomBytes(32));
    await this.database.query(sql`
      insert into privacy.subjects (id, name_hmac, sealed_key)
      values (${randomUUID()}, ${this.hmac(name)}, ${sealedKey}) on conflict do nothing`);
    const made = await this.known(name);
    if (!made) throw new Error('The subject of a name was erased while it was made: try again');
    return made;
  }

  private async known(name: string): Promise<Subject | null> {
    const hmac = this.hmac(name);
    const kept = this.byName.get(hmac.toString('hex'));
    if (kept && kept.until > performance.now()) return kept.value;
    const [row] = await this.database.query<Row>(sql`
      select id, sealed_key from privacy.subjects where name_hmac = ${hmac}`);
    if (!row) return null;
    const subject = { id: row.id, key: this.keyIn(row) };
    keep(this.byName, hmac.toString('hex'), subject);
    return subject;
  }

  private async keysOf(ids: ReadonlySet<string>): Promise<ReadonlyMap<string, Buffer | null>> {
    const now = performance.now();
    const keys = new Map<string, Buffer | null>();
    for (const id of ids) {
      const kept = this.byId.get(id);
      if (kept && kept.until > now) keys.set(id, kept.value);
    }
    const missing = [...ids].filter((id) => !keys.has(id));
    if (missing.length === 0) return keys;
    const rows = await this.database.query<Row>(sql`
      select id, sealed_key from privacy.subjects where id = any (${missing}::uuid[])`);
    const found = new Map(rows.map((row) => [row.id, this.keyIn(row)]));
    for (const id of missing) {
      const key = found.get(id) ?? null;
      keys.set(id, key);
      keep(this.byId, id, key);
    }
    return keys;
  }

  private keyIn({ sealed_key: sealed }: Row): Buffer {
    const key = decrypt(this.keyKey, sealed);
    if (key) return key;
    throw new WrongPrivacyKey(
      'PRIVACY_KEY is not the one that the names in this database are sealed with: set the earlier one again',
    );
  }

  /** Names are the same however they are written. */
  private hmac(name: string): Buffer {
    return createHmac('sha256', this.nameKey)
      .update(name.normalize('NFKC').trim().toLowerCase())
      .digest();
  }
}

function keep<T>(map: Map<string, Kept<T>>, id: string, value: T): void {
  const [oldest] = map.keys();
  if (map.size >= MAX_KEPT && oldest !== undefined) map.delete(oldest);
  map.delete(id);
  map.set(id, { value, until: performance.now() + KEEP_MS });
}

/** A text that is wholly erased is nothing; within another one it leaves a mark. */
function openAll(text: string, keys: ReadonlyMap<string, Buffer | null>): string | null {
  if (!text.includes('sealed:')) return text;
  let erased = false;
  const opened = text.replaceAll(SEALED, (_, id: string, sealed: string) => {
    const key = keys.get(id) ?? null;
    const plain = key === null ? null : openedText(key, sealed);
    erased ||= plain === null;
    return plain ?? '';
  });
  return erased && opened === '' ? null : opened;
}

function visitTexts(value: unknown, visit: (text: string) => void): void {
  if (typeof value === 'string') {
    if (value.includes('sealed:')) visit(value);
  } else if (isTree(value)) {
    for (const each of Object.values(value)) visitTexts(each, visit);
  }
}

function mapTexts(value: unknown, map: (text: string) => string | null): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, map));
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, mapTexts(each, map)]),
  );
}

/** What JSON and rows are made of; dates and bytes have nothing in them. */
function isTree(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}
