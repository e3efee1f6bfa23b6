import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { deliver, push } from '../support/webhooks.ts';
import { defineWorkflow } from '../../src/sdk/index.ts';
import { run } from '../support/program.ts';
import { SECRET, type Service, startService } from '../support/service.ts';

const waits = defineWorkflow({
  name: 'waits',
  run: async ({ step, waitForEvent }) => {
    await step('first', () => 1);
    return (await waitForEvent('go'))?.payload ?? null;
  },
});

const PATIENCE_MS = 120_000;
let service: Service;
let cwd: string;
let id: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'jobledger-cli-'));
  service = await startService({ workflows: [waits] });
  const response = await deliver(service.ingress, push('octo/cli'), {
    secret: SECRET,
    id: 'guid-cli',
  });
  id = ((await response.json()) as { jobs: { id: string }[] }).jobs[0]?.id ?? '';
});
afterAll(async () => {
  await service.stop();
  await rm(cwd, { recursive: true, force: true });
});

const cli = (...args: string[]) =>
  run(args, { env: { DATABASE_URL: service.core.databaseUrl }, cwd });

async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await cli(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

async function until(status: string): Promise<void> {
  while ((await json<{ status: string }>('jobs', 'show', id)).status !== status) continue;
}

test(
  'a job is listed, shown, watched, resumed, retried and cancelled',
  async () => {
    await until('PAUSED');
    expect(await json('jobs', 'list', '--repository', 'octo/cli')).toMatchObject([
      { id, status: 'PAUSED' },
    ]);
    expect((await cli('jobs', 'list')).stdout).toContain('octo/cli');
    expect((await cli('jobs', 'show', id)).stdout).toMatch(/waits for\s+go/);

    const watching = cli('jobs', 'watch', id, '--json');
    expect(await json('jobs', 'resume', id, '--payload', '{"n":1}')).toMatchObject({ id });
    const watched = (await watching).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { status: string });
    expect(watched.at(-1)).toMatchObject({ status: 'COMPLETED', result: { n: 1 } });

    expect(await json('jobs', 'retry', id)).toMatchObject({ status: 'REQUESTED' });
    await until('PAUSED');
    expect(await json('jobs', 'cancel', id, '--reason', 'enough')).toMatchObject({
      status: 'CANCELLED',
    });
    const refused = await cli('jobs', 'resume', id);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('The job has ended') as string,
    });
  },
  PATIENCE_MS,
);

test(
  'the log is shown, exported, followed and verified',
  async () => {
    const events = await json<{ type: string; position: string }[]>('events', 'show', id);
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['JobRequested', 'JobStarted']);
    const exported = (await cli('events', 'export')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { position: string });
    expect(exported.map(({ position }) => Number(position))).toEqual(
      exported.map((_, index) => index + 1),
    );
    expect(await json('events', 'verify')).toEqual({
      events: exported.length,
      streams: 1,
      faults: [],
    });
    expect((await cli('events', 'show', 'nothing')).code).toBe(1);
  },
  PATIENCE_MS,
);

test(
  'a signal is sent, a delivery shown and redelivered',
  async () => {
    expect(await json('signal', 'nobody', '--key', 'k', '--payload', '[1]')).toMatchObject({
      resumed: [],
    });
    expect(await json('deliveries', 'list', '--search', 'octo/cli')).toMatchObject([
      { deliveryId: 'guid-cli' },
    ]);
    const shown = await json<{ body: string; headers: object }>('deliveries', 'show', 'guid-cli');
    expect(JSON.parse(shown.body)).toMatchObject({ repository: { full_name: 'octo/cli' } });
    expect(JSON.stringify(shown.headers)).not.toContain('sha256=');
    expect(await json('deliveries', 'redeliver', 'guid-cli')).toEqual({ jobs: [] });
    expect((await cli('deliveries', 'show', 'nothing')).code).toBe(1);
  },
  PATIENCE_MS,
);

test(
  'read models are listed, rebuilt with a progress bar, paused, resumed and rolled back',
  async () => {
    expect(await json('projections', 'list')).toMatchObject([
      { name: 'job_stats', status: 'LIVE' },
      { name: 'jobs', status: 'LIVE' },
    ]);
    const rebuilt = await cli('projections', 'rebuild', 'jobs', '--yes', '--verify');
    expect(rebuilt).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('jobs: swapped') as string,
    });
    expect(rebuilt.stderr).toMatch(/jobs\s+done\s+█+ 100\.0 %\s+\d+ events, \d+\/s/);
    expect((await cli('projections', 'pause', 'jobs')).stdout).toContain('jobs is PAUSED');
    expect((await cli('projections', 'resume', 'jobs')).code).toBe(0);
    expect((await cli('projections', 'rollback', 'jobs')).code).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'doctor says what is well and what is not',
  async () => {
    const checks = await json<{ name: string; result: string }[]>('doctor');
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'node',
        'config',
        'database',
        'migrations',
        'clock',
        'leases',
        'broker',
        'projection jobs',
      ]),
    );
    expect(checks.filter(({ result }) => result === 'fail')).toEqual([]);
    const away = await run(['doctor'], {
      env: { DATABASE_URL: 'postgres://127.0.0.1:1/none' },
      cwd,
    });
    expect(away).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('FAIL  database') as string,
    });
  },
  PATIENCE_MS,
);

describe('wrong usage ends with 2 and says what is right', () => {
  test.each([
    [['nonsense'], 'unknown command'],
    [['jobs', 'show'], 'missing required argument'],
    [['jobs', 'show'], 'Run it with --help'],
    [['jobs', 'list', '--first', 'many'], '--first is "many": it must be a whole number'],
    [['queues', 'dead', '--limit', '-3'], '--limit is "-3"'],
    [['signal', ''], 'the name of the event'],
    [['deliveries', 'list', '--outcome', 'lost'], 'There is no outcome "lost"'],
    [['reconcile', '--source', 'lost'], 'There is no source "lost"'],
    [['webhooks', 'send', 'lost.json', '--event', 'push'], 'lost.json cannot be read'],
    [['jobs', 'list', '--status', 'DONE'], 'There is no status DONE'],
    [['jobs', 'resume', 'x', '--payload', '{'], 'not JSON'],
    [['events', 'tail', '--after', 'x'], 'not a position'],
    [['projections', 'rebuild', '--yes'], '--all'],
    [['projections', 'rebuild', 'nothing', '--yes'], 'There is no projection nothing'],
    [['projections', 'rebuild', 'jobs'], 'say --yes'],
    [['webhooks', 'send'], '--sample'],
    [['webhooks', 'send', '--sample', '--source', 'gitlab'], 'There is no source "gitlab"'],
  ])(
    '%j',
    async (args, message) => {
      expect(await cli(...args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(message) as string,
      });
    },
    PATIENCE_MS,
  );

  test('a command without a database says how to get one', async () => {
    const { code, stderr } = await run(['jobs', 'list'], { env: {}, cwd });
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('DATABASE_URL') as string,
    });
  });

  test('help is no mistake', async () => {
    expect(await cli('--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('projections') as string,
    });
    expect(await cli('--version')).toMatchObject({ code: 0 });
  });
});
