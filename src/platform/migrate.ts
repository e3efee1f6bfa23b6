import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { Client } from 'pg';

import { type Queryable, connectionOptions, queryable } from './database.ts';
import { sql } from './sql.ts';

/** One numbered file of `migrations/`: it runs once per database, in one transaction, and is never edited after. */
export type Migration = Readonly<{ number: number; name: string; text: string; sha256: string }>;

type Options = Readonly<{
  /** Only say what would run. */
  dryRun?: boolean;
  folder?: string;
  /** Called after each migration has been committed. */
  onApplied?: (migration: Migration) => void;
}>;

// `src/platform` and `dist/platform` are both two levels below the folder of the project.
const FOLDER = join(import.meta.dirname, '../../migrations');

// Any constant will do, as long as every version of Jobledger takes the same one.
const LOCK = 7_215_540_103;

/**
 * Brings the database up to date and returns the migrations that ran (or would run, with `dryRun`). Several
 * processes may call it at once: one works, the others wait and find nothing left to do.
 */
export async function migrate(
  database: string | Client,
  { dryRun = false, folder = FOLDER, onApplied }: Options = {},
): Promise<readonly Migration[]> {
  if (typeof database === 'string') {
    const client = new Client(connectionOptions(database, 'migrate'));
    // A connection lost between two statements is reported by the next one.
    client.on('error', () => {});
    await client.connect();
    try {
      return await migrate(client, { dryRun, folder, ...(onApplied && { onApplied }) });
    } finally {
      await client.end();
    }
  }
  if (dryRun) return pendingMigrations(queryable(database), folder);
  await database.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    await database.query(LEDGER);
    const pending = await pendingMigrations(queryable(database), folder);
    for (const migration of pending) {
      await run(database, migration);
      onApplied?.(migration);
    }
    return pending;
  } finally {
    // When the connection is gone, so is the lock.
    await database.query('select pg_advisory_unlock($1)', [LOCK]).catch(() => {});
  }
}

const LEDGER = `
  create table if not exists public.jobledger_migrations (
    number int primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
  )`;

async function run(client: Client, { number, name, text, sha256 }: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query(text);
    await client.query(
      sql`insert into public.jobledger_migrations (number, name, sha256) values (${number}, ${name}, ${sha256})` as {
        text: string;
        values: unknown[];
      },
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`Migration ${name} failed and changed nothing: ${why}`, { cause: error });
  }
}

/**
 * The migrations that this program has and the database hasn't, in their order. Throws when a migration was edited
 * after it ran, or was added below one that ran. Migrations that only the database knows are no fault: an older
 * program runs on a newer database while a deployment is rolled out or back.
 */
export async function pendingMigrations(
  database: Queryable,
  folder: string = FOLDER,
): Promise<readonly Migration[]> {
  const migrations = readMigrations(folder);
  const applied = await appliedMigrations(database);
  const highest = Math.max(0, ...applied.keys());
  return migrations.filter(({ number, name, sha256 }) => {
    const ran = applied.get(number);
    if (ran === undefined && number < highest) {
      throw new Error(
        `Migration ${name} is new, but ${digits(highest)} has run already: give it a number above ${digits(highest)}`,
      );
    }
    if (ran !== undefined && ran.sha256 !== sha256) {
      const next = digits(Math.max(highest, ...migrations.map((each) => each.number)) + 1);
      throw new Error(
        `Migration ${ran.name} was edited after it ran on this database: restore the file as it was, and put the change into a new migration ${next}`,
      );
    }
    return ran === undefined;
  });
}

/** Throws one sentence that says what to do, when the database isn't up to date for this program. */
export async function requireMigrated(database: Queryable, folder: string = FOLDER): Promise<void> {
  const pending = await pendingMigrations(database, folder);
  if (pending.length === 0) return;
  const names = pending.map(({ name }) => name).join(', ');
  throw new Error(
    `The database lacks ${String(pending.length)} migration(s) (${names}): run "jobledger migrate" first`,
  );
}

type Applied = ReadonlyMap<number, Readonly<{ number: number; name: string; sha256: string }>>;

async function appliedMigrations(database: Queryable): Promise<Applied> {
  const [ledger] = await database.query<{ exists: boolean }>(
    sql`select to_regclass('public.jobledger_migrations') is not null as exists`,
  );
  if (ledger?.exists !== true) return new Map();
  const rows = await database.query<{ number: number; name: string; sha256: string }>(
    sql`select number, name, sha256 from public.jobledger_migrations order by number`,
  );
  return new Map(rows.map((row) => [row.number, row]));
}

function readMigrations(folder: string): readonly Migration[] {
  const migrations = readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .toSorted()
    .map((file) => readMigration(folder, file));
  const taken = migrations.find(({ number }, index) => migrations[index - 1]?.number === number);
  if (taken !== undefined) {
    throw new Error(`Two migrations have the number ${digits(taken.number)}: renumber one of them`);
  }
  return migrations;
}

function readMigration(folder: string, file: string): Migration {
  const parsed = /^(\d{4})_([a-z0-9_]+)\.sql$/.exec(file);
  if (parsed === null) {
    throw new Error(`migrations/${file} isn't named like 0001_what_it_makes.sql: rename it`);
  }
  // Git may check out other line ends on another system; the statements are the same.
  const text = readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n');
  return {
    number: Number(parsed[1]),
    name: file.slice(0, -'.sql'.length),
    text,
    sha256: createHash('sha256').update(text).digest('hex'),
  };
}

const digits = (number: number): string => String(number).padStart(4, '0');
