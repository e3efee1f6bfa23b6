import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { migrate, pendingMigrations, requireMigrated } from '../../src/platform/migrate.ts';
import { sql } from '../../src/platform/sql.ts';
import { type TestDatabase, createDatabase, emptyDatabase } from '../support/database.ts';

let folder: string;
let empty: TestDatabase;
let database: Database;

beforeAll(async () => {
  empty = await emptyDatabase();
  database = open(empty.url);
});
afterAll(async () => {
  await database.close();
  await empty.drop();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'jobledger-migrations-'));
  await database.query(sql`drop table if exists public.jobledger_migrations, one, two, three`);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const open = (url: string): Database =>
  new Database(url, {
    max: 2,
    applicationName: 'test',
    logger: createLogger('silent', 'test'),
  });

function write(name: string, text: string): void {
  writeFileSync(join(folder, `${name}.sql`), text);
}

const names = (migrations: readonly { name: string }[]): string[] =>
  migrations.map(({ name }) => name);

test('migrations run once, in the order of their numbers', async () => {
  write('0002_two', 'create table two as select * from one');
  write('0001_one', 'create table one (n int); insert into one values (1)');
  const applied: string[] = [];
  const onApplied = ({ name }: { name: string }): unknown => applied.push(name);
  expect(names(await migrate(empty.url, { folder, onApplied }))).toEqual(['0001_one', '0002_two']);
  expect(applied).toEqual(['0001_one', '0002_two']);
  expect(await migrate(empty.url, { folder })).toEqual([]);
  expect(await database.query(sql`select n from two`)).toEqual([{ n: 1 }]);
});

test('processes that migrate at the same time do it once', async () => {
  write('0001_one', 'create table one (n int); select pg_sleep(0.1)');
  write('0002_two', 'create table two (n int)');
  const all = await Promise.all([1, 2, 3, 4].map(async () => migrate(empty.url, { folder })));
  expect(all.map(({ length }) => length).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 2]);
});

test('a migration that fails changes nothing, and those before it stay', async () => {
  write('0001_one', 'create table one (n int)');
  write('0002_two', 'create table two (n int); select 1/0');
  await expect(migrate(empty.url, { folder })).rejects.toThrow(
    'Migration 0002_two failed and changed nothing: division by zero',
  );
  expect(await database.query(sql`select to_regclass('two') as two`)).toEqual([{ two: null }]);
  expect(names(await pendingMigrations(database, folder))).toEqual(['0002_two']);
  write('0002_two', 'create table two (n int)');
  expect(names(await migrate(empty.url, { folder }))).toEqual(['0002_two']);
});

test('a migration that cannot be noted is undone', async () => {
  write('0001_one', 'create table one (n int); drop table public.jobledger_migrations');
  await expect(migrate(empty.url, { folder })).rejects.toThrow('changed nothing');
  expect(await database.query(sql`select to_regclass('one') as one`)).toEqual([{ one: null }]);
});

test('an edited migration is refused with what to do', async () => {
  write('0001_one', 'create table one (n int)');
  write('0002_two', 'create table two (n int)');
  await migrate(empty.url, { folder });
  write('0001_one', 'create table one (n bigint)');
  const sentence =
    'Migration 0001_one was edited after it ran on this database: restore the file as it was, and put the change into a new migration 0003';
  await expect(migrate(empty.url, { folder })).rejects.toThrow(sentence);
  await expect(requireMigrated(database, folder)).rejects.toThrow(sentence);
});

test('the line ends of another system are not an edit', async () => {
  write('0001_one', 'create table one (\n n int\n)\n');
  await migrate(empty.url, { folder });
  write('0001_one', 'create table one (\r\n n int\r\n)\r\n');
  await expect(requireMigrated(database, folder)).resolves.toBeUndefined();
});

test('a migration below one that ran is refused', async () => {
  write('0002_two', 'create table two (n int)');
  await migrate(empty.url, { folder });
  write('0001_one', 'create table one (n int)');
  await expect(migrate(empty.url, { folder })).rejects.toThrow(
    'Migration 0001_one is new, but 0002 has run already: give it a number above 0002',
  );
});

test('two migrations of one number are refused', async () => {
  write('0001_one', 'create table one (n int)');
  write('0001_two', 'create table two (n int)');
  await expect(migrate(empty.url, { folder })).rejects.toThrow(
    'Two migrations have the number 0001: renumber one of them',
  );
});

test('a file without a number is refused', async () => {
  write('one', 'create table one (n int)');
  await expect(migrate(empty.url, { folder })).rejects.toThrow(
    "migrations/one.sql isn't named like 0001_what_it_makes.sql",
  );
});

test('a dry run says what would run and changes nothing', async () => {
  write('0001_one', 'create table one (n int)');
  expect(names(await migrate(empty.url, { folder, dryRun: true }))).toEqual(['0001_one']);
  expect(
    await database.query(
      sql`select to_regclass('one') as one, to_regclass('jobledger_migrations') as ledger`,
    ),
  ).toEqual([{ one: null, ledger: null }]);
});

test('a role refuses a database that lacks migrations, in one sentence', async () => {
  write('0001_one', 'create table one (n int)');
  await expect(requireMigrated(database, folder)).rejects.toThrow(
    'The database lacks 1 migration(s) (0001_one): run "jobledger migrate" first',
  );
});

test('an older program runs on a newer database', async () => {
  write('0001_one', 'create table one (n int)');
  write('0002_two', 'create table two (n int)');
  await migrate(empty.url, { folder });
  rmSync(join(folder, '0002_two.sql'));
  await expect(requireMigrated(database, folder)).resolves.toBeUndefined();
  expect(await migrate(empty.url, { folder })).toEqual([]);
});

test('our own migrations bring an empty database up to date', async () => {
  const { url, drop } = await createDatabase();
  const migrated = open(url);
  await expect(requireMigrated(migrated)).resolves.toBeUndefined();
  await migrated.close();
  await drop();
});
