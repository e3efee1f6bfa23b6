import { once } from 'node:events';
import { request } from 'node:http';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';

import { type TestDatabase, createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { Role } from '../support/program.ts';
import { githubHeaders, pullRequestBody, signature } from './support/ingress.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const READ = 'the webhook sources were read again';
const KEPT = 'the webhook sources stay as they were: mend the configuration';

let database: TestDatabase;
let cwd: string;
let ingress: Role;
let port: number;

const ours = (value: string, change: object = {}) => ({
  name: 'ours',
  provider: 'github',
  secrets: [{ value }],
  ...change,
});

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-reload-'));
  database = await createDatabase();
  await configure([ours('first')]);
  ingress = new Role('ingress', {
    cwd,
    env: {
      DATABASE_URL: database.url,
      WEBHOOK_SOURCES: join(cwd, 'sources.json'),
      INGRESS_PORT: '0',
      DATA_DIR: join(cwd, 'data'),
    },
  });
  port = (await ingress.logged('takes webhooks')).port ?? 0;
});
afterAll(async () => {
  await ingress.stop();
  await database.drop();
  await rm(cwd, { recursive: true, force: true });
});
beforeEach(async () => {
  await reload([ours('first')]);
});

const configure = (sources: object | string): Promise<void> =>
  writeFile(
    join(cwd, 'sources.json'),
    typeof sources === 'string' ? sources : JSON.stringify(sources),
  );

const count = (message: string): number => ingress.log.filter(({ msg }) => msg === message).length;

/** Changes the file, and gives what was logged when it had been read. */
async function reload(sources: object | string): Promise<readonly object[]> {
  const before = ingress.log.length;
  const seen = count(READ) + count(KEPT);
  await configure(sources);
  ingress.kill('SIGHUP');
  await eventually(() => {
    expect(count(READ) + count(KEPT)).toBeGreaterThan(seen);
  });
  return ingress.log.slice(before).filter(({ msg }) => msg === READ || msg === KEPT);
}

const headersOf = (body: string, secret: string): Record<string, string> =>
  githubHeaders(body, { 'x-hub-signature-256': signature(body, secret) });

async function post(source: string, secret: string): Promise<number> {
  const body = pullRequestBody();
  const address = `http://127.0.0.1:${String(port)}/webhooks/${source}`;
  const response = await fetch(address, { method: 'POST', headers: headersOf(body, secret), body });
  await response.text();
  return response.status;
}

test('SIGHUP brings new sources and secrets, and takes old ones away', async () => {
  expect([await post('ours', 'first'), await post('theirs', 'third')]).toEqual([202, 404]);

  await reload([ours('second'), ours('third', { name: 'theirs' })]);
  expect(await post('ours', 'first')).toBe(401);
  expect([await post('ours', 'second'), await post('theirs', 'third')]).toEqual([202, 202]);

  await reload([ours('second')]);
  expect(await post('theirs', 'third')).toBe(404);
});

test('with mistakes the old sources stay, and each mistake is logged without a secret', async () => {
  const logged = await reload([
    ours('s3cr3t', { maxPerMinute: 0 }),
    ours('s3cr3t', { provider: 'sourceforge' }),
  ]);

  expect(logged).toMatchObject([
    { msg: KEPT, mistake: expect.stringContaining('0.maxPerMinute') as string },
    { msg: KEPT, mistake: expect.stringContaining('1.provider') as string },
  ]);
  expect(await post('ours', 'first')).toBe(202);
  expect(JSON.stringify(ingress.log)).not.toContain('s3cr3t');
});

test('what is no JSON is a mistake too', async () => {
  const [logged] = await reload('[');

  expect(logged).toMatchObject({ msg: KEPT, mistake: expect.stringContaining('JSON') as string });
  expect(await post('ours', 'first')).toBe(202);
});

// Elsewhere nothing tells from outside whether a process heeds a signal yet.
test.skipIf(process.platform !== 'linux')(
  'SIGHUP while it begins is heeded when it can be',
  async () => {
    await configure([ours('first')]);
    const early = new Role('ingress', {
      cwd,
      env: {
        DATABASE_URL: database.url,
        WEBHOOK_SOURCES: join(cwd, 'sources.json'),
        INGRESS_PORT: '0',
        DATA_DIR: join(cwd, 'data'),
      },
    });
    // From before its first line of code it would end by it, so only from when it heeds it.
    await eventually(async () => {
      const status = await readFile(`/proc/${String(early.pid)}/status`, 'utf8');
      const [, caught = '0'] = /SigCgt:\s*([0-9a-f]+)/.exec(status) ?? [];
      expect(BigInt(`0x${caught}`) & 1n).toBe(1n);
    });
    early.kill('SIGHUP');

    await early.logged(READ);
    expect(await early.stop()).toBe(0);
  },
);

test('no request is lost while sources are read again and again', async () => {
  const sending = new AbortController();
  const send = async (): Promise<number[]> => {
    const statuses = [];
    while (!sending.signal.aborted) statuses.push(await post('ours', 'first'));
    return statuses;
  };
  const senders = [send(), send()];
  for (let round = 0; round < 20; round += 1) {
    await reload([ours('first'), ours('other', { name: `source-${String(round)}` })]);
  }
  sending.abort();
  const statuses = (await Promise.all(senders)).flat();

  expect(statuses.length).toBeGreaterThan(0);
  expect(new Set(statuses)).toEqual(new Set([202]));
});

test('a request at hand ends by the source that it began with', async () => {
  const body = pullRequestBody();
  const sent = request({
    port,
    method: 'POST',
    path: '/webhooks/ours',
    headers: {
      ...headersOf(body, 'first'),
      'content-length': Buffer.byteLength(body),
      expect: '100-continue',
    },
  });
  sent.flushHeaders();
  // Leave to send the body: the request has begun.
  await once(sent, 'continue');
  await reload([ours('second', { name: 'theirs' })]);
  const answered = once(sent, 'response');
  sent.end(body);
  const [response] = (await answered) as [{ statusCode: number; resume: () => void }];
  response.resume();

  expect(response.statusCode).toBe(202);
});

test('a source that has not changed keeps its rate', async () => {
  const limited = ours('first', { name: 'limited', maxPerMinute: 1 });
  await reload([ours('first'), limited]);
  expect(await post('limited', 'first')).toBe(202);

  await reload([ours('second'), limited]);
  expect(await post('limited', 'first')).toBe(429);
});
