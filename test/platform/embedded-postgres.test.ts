import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/platform/embedded-postgres.ts';
import { findPostgresPrograms } from '../../src/platform/postgres-programs.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { eventually } from '../support/eventually.ts';
import { compilePlatform } from '../support/compile-platform.ts';

const logger = createLogger('silent', 'test');
let dataDir: string;
let started: EmbeddedPostgres[];
const children: ChildProcess[] = [];

// One folder for all tests: to make a cluster takes longer than everything else here.
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'jobledger-embedded-'));
  chmodSync(dataDir, 0o755);
});
afterAll(() => {
  rmSync(dataDir, { recursive: true, force: true });
});
beforeEach(() => {
  started = [];
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(started.map(async (postgres) => postgres.stop()));
});

async function start(): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, logger });
  started.push(postgres);
  return postgres;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

function serverPid(): number {
  return Number(readFileSync(join(dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')[0]);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('it keeps its data over a restart, with fsync on', async () => {
  const first = await start();
  await query(first.url, 'create table kept as select 1 as n');
  expect(await query(first.url, 'show fsync')).toEqual([{ fsync: 'on' }]);
  const pid = serverPid();
  await first.stop();
  expect(isAlive(pid)).toBe(false);
  const second = await start();
  expect(await query(second.url, 'select n from kept')).toEqual([{ n: 1 }]);
});

test('it lets in nobody without the password, which only its owner can read', async () => {
  const { url } = await start();
  const intruder = new URL(url);
  intruder.password = 'guessed';
  await expect(query(intruder.href, 'select 1')).rejects.toThrow('password authentication failed');
  expect(statSync(join(dataDir, 'postgres-password')).mode & 0o777).toBe(0o600);
});

test('it comes back on the same address when it is killed', async () => {
  const { url } = await start();
  await query(url, 'create table kept_over_kill as select 1 as n');
  process.kill(serverPid(), 'SIGKILL');
  await eventually(async () => {
    expect(await query(url, 'select n from kept_over_kill')).toEqual([{ n: 1 }]);
  });
});

test('a second process is told that the data is in use', async () => {
  const { url } = await start();
  await expect(start()).rejects.toThrow(/Another Jobledger process uses the data/);
  expect(await query(url, 'select 1 as n')).toEqual([{ n: 1 }]);
});

test('a process id that another program got since is no obstacle', async () => {
  await (await start()).stop();
  const data = join(dataDir, 'postgres');
  // Postgres only minds programs of its own account.
  const { uid, gid } = statSync(data);
  const other = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' });
  const lines = [String(other.pid), data, '1', '5432', '', '127.0.0.1', '', 'ready', ''];
  writeFileSync(join(data, 'postmaster.pid'), lines.join('\n'));
  const { url } = await start();
  expect(await query(url, 'select 1 as n')).toEqual([{ n: 1 }]);
  other.kill();
});

/** Another process with an embedded Postgres, in the same data; resolves when that is up. */
async function startElsewhere(): Promise<{ process: ChildProcess; url: string }> {
  const compiled = compilePlatform();
  const script = `
    import { startEmbeddedPostgres } from '${compiled}/embedded-postgres.js';
import { createLogger } from '${compiled}/logger.js';
    const logger = createLogger('silent', 'test');
    const { url } = await startEmbeddedPostgres({ dataDir: '${dataDir}', logger });
    process.on('SIGINT', () => process.send('interrupted'));
    process.on('message', () => process.exit(0));
    process.on('disconnect', () => process.exit(1));
    console.log(url);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    detached: true,
  });
  children.push(child);
  const [printed] = (await Promise.race([
    once(child.stdout ?? child, 'data'),
    once(child, 'exit'),
  ])) as [unknown];
  expect(child.exitCode).toBeNull();
  return { process: child, url: String(printed).trim() };
}

test('it ends with its process, also without a stop', async () => {
  const { process: parent } = await startElsewhere();
  const pid = serverPid();
  parent.send('exit');
  await once(parent, 'exit');
  await eventually(() => {
    expect(isAlive(pid)).toBe(false);
  });
});

test('it ends when its process is killed', async () => {
  const { process: parent } = await startElsewhere();
  const pid = serverPid();
  parent.kill('SIGKILL');
  await eventually(() => {
    expect(isAlive(pid)).toBe(false);
  });
});

test('an interrupt from the terminal, which goes to the whole group, leaves it to its process', async () => {
  const { process: parent, url } = await startElsewhere();
  process.kill(-(parent.pid ?? 0), 'SIGINT');
  await once(parent, 'message');
  // A Postgres that was interrupted would end this at once.
  expect(await query(url, 'select 1 as n from pg_sleep(0.3)')).toEqual([{ n: 1 }]);
  parent.send('exit');
  await once(parent, 'exit');
});

test('it takes over from one that was left running', async () => {
  await (await start()).stop();
  const data = join(dataDir, 'postgres');
  const { uid, gid } = statSync(data);
  const [{ bin } = { bin: '' }] = findPostgresPrograms();
  const orphan = spawn(
    join(bin, 'postgres'),
    ['-D', data, `--port=${String(await freePort())}`, '--unix_socket_directories='],
    {
      stdio: 'ignore',
      uid,
      gid,
    },
  );
  await eventually(() => {
    expect(readFileSync(join(data, 'postmaster.pid'), 'utf8')).toContain('ready');
  });
  const { url } = await start();
  expect(orphan.exitCode).toBe(0);
  expect(await query(url, 'select 1 as n')).toEqual([{ n: 1 }]);
});
