import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { WEBHOOK_HOSTS } from '../../src/cli/webhook-hosts.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';
import {
  expectedFacts,
  factsOf,
  fixtures,
  fixturesNote,
  haveFixtures,
} from '../ingress/support/fixtures.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type Ran, Role, SDK, run } from '../support/program.ts';
import { deliver, push } from '../support/webhooks.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const SECRET = 'a-secret-of-the-commands';
const FIXTURES = resolve('../shared/fixtures/webhooks');

const WORKFLOWS = `import { defineWorkflow } from ${JSON.stringify(SDK)};
const run = async () => null;
export const on_main = defineWorkflow({ name: 'on-main', on: [{ event: 'push', ref: ['main', 'next'] }], run });
export const on_pulls = defineWorkflow({ name: 'on-pulls', on: [{ event: 'pull_request' }], run });
export const by_hand = defineWorkflow({ name: 'by-hand', run });
`;

let database: TestDatabase;
let cwd: string;
let env: Readonly<Record<string, string>>;
let ingress: Role;
let address: string;
let admin: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-webhooks-'));
  await writeFile(join(cwd, 'workflows.mjs'), WORKFLOWS);
  database = await createDatabase();
  env = {
    DATABASE_URL: database.url,
    WORKFLOWS: join(cwd, 'workflows.mjs'),
    GITHUB_WEBHOOK_SECRET: SECRET,
    BITBUCKET_DC_WEBHOOK_SECRET: SECRET,
    INGRESS_PORT: '0',
    DATA_DIR: join(cwd, 'data'),
  };
  ingress = new Role('ingress', { env, cwd });
  const port = async (message: string): Promise<string> =>
    `http://127.0.0.1:${String((await ingress.logged(message)).port)}`;
  [address, admin] = await Promise.all([
    port('takes webhooks'),
    port('health and metrics are served'),
  ]);
});
afterAll(async () => {
  await ingress.stop();
  await database.drop();
  await rm(cwd, { recursive: true, force: true });
});

const webhooks = (...args: readonly string[]): Promise<Ran> =>
  run(['webhooks', ...args], { env, cwd });

async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await webhooks(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

async function file(payload: object): Promise<string> {
  const path = join(cwd, `${randomUUID()}.json`);
  await writeFile(path, JSON.stringify(payload));
  return path;
}

describe('webhooks test', () => {
  test('says for every workflow whether it starts, and which fields let it', async () => {
    const path = await file(push('octo/cli'));

    expect(await json('test', path, '--event', 'push')).toMatchObject({
      source: 'github',
      event: 'push',
      action: 'updated',
      status: 202,
      outcome: 'accepted',
      triggers: [{ event: 'push', ref: 'main', repository: { fullName: 'octo/cli' } }],
      jobs: [{ workflow: 'on-main', trigger: 1 }],
      workflows: [
        {
          workflow: 'by-hand',
          starts: false,
          reason: expect.stringContaining('by hand') as string,
        },
        {
          workflow: 'on-main',
          starts: true,
          reason: null,
          matchers: [
            {
              passes: true,
              fields: [
                { field: 'event', wanted: ['push'], value: 'push', passes: true },
                { field: 'ref', wanted: ['main', 'next'], value: 'main', passes: true },
              ],
            },
          ],
        },
        { workflow: 'on-pulls', starts: false, matchers: [{ passes: false }] },
      ],
    });
  });

  test('says which field stops a workflow', async () => {
    const path = await file(push('octo/cli', { ref: 'refs/heads/side' }));
    const { code, stdout } = await webhooks('test', path, '--event', 'push');

    expect(code).toBe(0);
    expect(stdout).toContain('200 ignored');
    expect(stdout).toContain('No workflow starts on push updated');
    expect(stdout).toContain('no   ref is side, wanted: main or next');
    expect(stdout).toContain('yes  event is push, wanted: push');
  });

  test('says what is malformed, and that it is refused', async () => {
    const path = await file({ ...push(), after: undefined });

    expect(await json('test', path, '--event', 'push')).toMatchObject({
      status: 400,
      outcome: 'malformed',
      reason: expect.stringContaining('lacks "after"') as string,
      workflows: [],
    });
  });

  test('says that the source does not allow the repository', async () => {
    const sources = join(cwd, 'sources.json');
    const source = { name: 'ours', provider: 'github', secrets: [{ value: SECRET }] };
    await writeFile(sources, JSON.stringify([{ ...source, repositories: ['octo/other'] }]));
    const { stdout } = await run(
      [
        'webhooks',
        'test',
        await file(push('octo/cli')),
        '--event',
        'push',
        '--source',
        'ours',
        '--json',
      ],
      { env: { ...env, WEBHOOK_SOURCES: sources }, cwd },
    );

    expect(JSON.parse(stdout)).toMatchObject({
      outcome: 'ignored',
      workflows: [
        {},
        {
          workflow: 'on-main',
          starts: false,
          reason: expect.stringContaining('octo/cli') as string,
        },
        {},
      ],
    });
  });

  test('says what each filter of the source wants, and whether it passes', async () => {
    const sources = join(cwd, 'filters.json');
    const source = {
      name: 'ours',
      provider: 'github',
      secrets: [{ value: SECRET }],
      ownAccounts: ['our-bot[bot]'],
      filters: { only: { path: ['src/**'] }, except: { branch: ['main'] } },
    };
    await writeFile(sources, JSON.stringify([source]));
    const commits = [{ added: [], modified: ['src/a.ts'], removed: [] }];
    const path = await file(push('octo/cli', { commits }));
    const { stdout } = await run(
      ['webhooks', 'test', path, '--event', 'push', '--source', 'ours'],
      { env: { ...env, WEBHOOK_SOURCES: sources }, cwd },
    );

    expect(stdout).toContain('The filters of the source "ours" leave out the branch main');
    expect(stdout).toContain('yes  ownAccounts is octocat, wanted: not our-bot[bot]');
    expect(stdout).toContain('yes  only.path is src/a.ts, wanted: src/**');
    expect(stdout).toContain('no   except.branch is main, wanted: not main');
  });

  test('explains a stored delivery by the workflows of now, and stores nothing', async () => {
    const id = randomUUID();
    await deliver(address, push('octo/stored', { ref: 'refs/heads/side' }), { secret: SECRET, id });
    const count = async (): Promise<number> => (await listed()).length;
    const before = await count();
    await writeFile(join(cwd, 'later.mjs'), WORKFLOWS.replace("'next'", "'side'"));
    const { code, stdout } = await run(['webhooks', 'test', '--delivery', id, '--json'], {
      env: { ...env, WORKFLOWS: join(cwd, 'later.mjs') },
      cwd,
    });

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      deliveryId: id,
      outcome: 'accepted',
      jobs: [{ workflow: 'on-main' }],
      stored: { outcome: 'ignored', jobs: [] },
    });
    expect(await count()).toBe(before);
  });

  test.each([
    [['test'], 'Give either'],
    [['test', 'nothing.json', '--event', 'push'], 'cannot be read'],
    [['test', 'workflows.mjs'], 'give it with --event'],
    [['test', 'workflows.mjs', '--provider', 'sourceforge'], 'There is no provider "sourceforge"'],
    [['test', 'workflows.mjs', '--source', 'theirs'], 'There is no source "theirs"'],
    [['setup', 'sourceforge'], 'There is no provider "sourceforge"'],
    [['setup', 'gitlab', '--url', 'here'], 'is not an address'],
    [['listen', '--timeout', 'soon'], 'whole number'],
  ])('%j is wrong usage', async (args, message) => {
    expect(await webhooks(...args)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message) as string,
    });
  });

  test('a delivery that is not there is said not to be', async () => {
    expect(await webhooks('test', '--delivery', 'nothing')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no delivery nothing') as string,
    });
  });
});

async function listed(): Promise<readonly unknown[]> {
  const { stdout } = await run(['deliveries', 'list', '--first', '100', '--json'], { env, cwd });
  return JSON.parse(stdout) as unknown[];
}

describe.skipIf(!haveFixtures)(`webhooks test with payloads of the hosts${fixturesNote}`, () => {
  // One of each host: a process for each of all would take minutes.
  const firsts = Object.keys(WEBHOOK_HOSTS).flatMap(
    (host) => fixtures().find((each) => each.host === host && each.expected.length > 0) ?? [],
  );

  test.each(firsts)(
    'finds the facts of $id',
    async ({ host, file: name, event_header, expected, accept }) => {
      const event = event_header.value === null ? [] : ['--event', event_header.value];
      const { triggers } = await json<{ triggers: Parameters<typeof factsOf>[0][] }>(
        'test',
        join(FIXTURES, name),
        '--provider',
        host,
        ...event,
      );

      const wanted = expected.map(expectedFacts);
      if (accept === null) expect(triggers.map(factsOf)).toEqual(wanted);
      else expect(triggers).toHaveLength(wanted.length);
    },
  );
});

describe('webhooks setup', () => {
  test.each(Object.keys(WEBHOOK_HOSTS))('of %s has all that the form asks for', async (host) => {
    const setup = await json<Record<string, unknown>>(
      'setup',
      host,
      '--url',
      'https://h.example/x/',
    );

    expect(setup).toMatchObject({
      provider: host,
      source: host,
      url: `https://h.example/x/webhooks/${host}`,
      menu: expect.arrayContaining([expect.stringMatching(/hooks/i)]) as string[],
      secret: { from: `${host.toUpperCase().replaceAll('-', '_')}_WEBHOOK_SECRET` },
    });
    expect(JSON.stringify(setup)).not.toContain(SECRET);
  });

  test.each(Object.values(WEBHOOK_HOSTS))('of $title names only events that are read', (host) => {
    const [provider] = Object.entries(WEBHOOK_HOSTS).find(([, each]) => each === host) ?? [];
    const { read } = providerOf(provider as keyof typeof WEBHOOK_HOSTS);
    const isIgnored = (event: string): boolean =>
      withheldOf(() => read(event, {})).includes('not one that jobs start on');
    expect(host.events.flatMap(({ sent }) => sent).filter(isIgnored)).toEqual([]);
    expect(isIgnored('nonsense')).toBe(true);
  });

  test('tells people where the secret stands and never what it is', async () => {
    const { code, stdout } = await webhooks('setup', 'github');

    expect(code).toBe(0);
    expect(stdout).toContain('GITHUB_WEBHOOK_SECRET, which is set');
    expect(stdout).toContain('Settings > Webhooks > Add webhook');
    expect(stdout).toContain('from this machine only');
    expect(stdout).not.toContain(SECRET);
    expect((await webhooks('setup', 'gitlab')).stdout).toContain('which is not set');
  });

  test('makes no files', async () => {
    expect((await webhooks('setup', 'github')).code).toBe(0);
    await expect(readdir(join(cwd, 'data'))).rejects.toThrow('ENOENT');
  });
});

/** An empty payload of an event that is read has the wrong shape for it, which is an error. */
function withheldOf(read: () => Readonly<{ withheld: string | null }>): string {
  try {
    return read().withheld ?? '';
  } catch {
    return '';
  }
}

describe('webhooks listen', () => {
  type Heard = Ran & Readonly<{ said: Record<string, unknown> }>;

  /** Begins to listen, does it, and gives what was said of it. */
  async function hears(act: () => Promise<unknown>, ...args: readonly string[]): Promise<Heard> {
    const program = resolve('dist/cli/main.js');
    const child = spawn(
      process.execPath,
      [program, 'webhooks', 'listen', '--admin', admin, '--timeout', '90', '--json', ...args],
      { cwd, env: { PATH: process.env['PATH'] ?? '', ...env } },
    );
    const out = { stdout: '', stderr: '' };
    let isWaiting = (): void => undefined;
    const waiting = new Promise<void>((done) => (isWaiting = done));
    child.stdout.on('data', (text: Buffer) => (out.stdout += text.toString()));
    child.stderr.on('data', (text: Buffer) => {
      out.stderr += text.toString();
      if (out.stderr.includes('Waiting')) isWaiting();
    });
    const ended = new Promise<number>((done) => {
      child.once('close', (code) => {
        isWaiting();
        done(code ?? -1);
      });
    });
    await waiting;
    await act();
    const code = await ended;
    return { code, ...out, said: JSON.parse(out.stdout || '{}') as Record<string, unknown> };
  }

  test('tells of a delivery that is right, and what it did', async () => {
    const { code, said } = await hears(() =>
      deliver(address, push('octo/heard'), { secret: SECRET }),
    );

    expect(code).toBe(0);
    expect(said).toMatchObject({
      right: true,
      outcome: 'accepted',
      stored: { outcome: 'accepted', jobs: [{ workflow: 'on-main' }] },
      workflows: [{}, { workflow: 'on-main', starts: true }, {}],
    });
  });

  test('tells of a ping', async () => {
    const ping = { zen: 'Keep it logically awesome.', hook_id: 1, nonce: randomUUID() };
    const { code, said } = await hears(() =>
      deliver(address, ping, { secret: SECRET, event: 'ping' }),
    );

    expect({ code, said }).toMatchObject({
      code: 0,
      said: { right: true, event: 'ping', reason: 'A ping: the hook works' },
    });
  });

  test('tells of a ping without a signature, which is not stored', async () => {
    const act = () =>
      fetch(`${address}/webhooks/bitbucket-dc`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-event-key': 'diagnostics:ping' },
        body: '{"test":true}',
      });

    expect(await hears(act, '--source', 'bitbucket-dc')).toMatchObject({
      code: 0,
      said: { right: true, outcome: 'unsigned-ping', stored: null },
    });
  });

  test('tells that the secrets differ, and shows neither', async () => {
    const { code, stdout, stderr, said } = await hears(() =>
      deliver(address, push(), { secret: 'another-secret' }),
    );

    expect({ code, said }).toMatchObject({
      code: 1,
      said: { right: false, source: 'github', outcome: 'not-authentic', hint: 'secret-differs' },
    });
    expect(stdout + stderr).not.toMatch(/another-secret|a-secret-of/);
  });

  test('tells that the webhook has no secret, and of no other source', async () => {
    const body = JSON.stringify(push());
    const act = async (): Promise<void> => {
      await deliver(address, push(), { secret: 'another-secret' });
      await fetch(`${address}/webhooks/nothing`, { method: 'POST', body });
      const headers = { 'content-type': 'application/json', 'x-event-key': 'repo:refs_changed' };
      await fetch(`${address}/webhooks/bitbucket-dc`, { method: 'POST', headers, body });
    };
    const { code, said, stderr } = await hears(act, '--source', 'bitbucket-dc');

    expect({ code, said }).toMatchObject({
      code: 1,
      said: { source: 'bitbucket-dc', hint: 'signature-missing' },
    });
    expect(stderr).toContain('There is no source of the name in the address');
  });

  test('tells of a delivery that came before', async () => {
    const id = randomUUID();
    const payload = push('octo/twice');
    await deliver(address, payload, { secret: SECRET, id });

    expect(await hears(() => deliver(address, payload, { secret: SECRET, id }))).toMatchObject({
      code: 0,
      said: { right: true, outcome: 'duplicate' },
    });
  });

  test('gives up when nothing comes, and says what to look at', async () => {
    const { code, stderr } = await webhooks('listen', '--admin', admin, '--timeout', '1');

    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Nothing came within 1 s') as string,
    });
  });

  test('an admin port that is none is said to be none', async () => {
    expect(await webhooks('listen', '--admin', 'http://127.0.0.1:1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('must be the admin port') as string,
    });
  });
});

test('the log of the ingress names the reason, and never the secret', async () => {
  await deliver(address, push('octo/quiet'), { secret: `${SECRET}\n` });

  await eventually(() => {
    expect(ingress.log).toContainEqual(
      expect.objectContaining({ msg: 'delivery refused', hint: 'secret-ends-with-newline' }),
    );
  });
  expect(JSON.stringify(ingress.log)).not.toContain(SECRET);
});
