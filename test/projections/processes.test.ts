import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { newId } from '../../src/platform/ids.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import * as a from '../support/jobs.ts';
import { Deployment } from '../support/deployment.ts';
import { eventually } from '../support/eventually.ts';
import { run } from '../support/program.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
let vhost: Awaited<ReturnType<typeof createVhost>>;
let deployment: Deployment;
let children: ChildProcess[];
beforeEach(async () => {
  children = [];
  [ledger, vhost] = await Promise.all([Ledger.open(), createVhost()]);
  deployment = await Deployment.open({ databaseUrl: ledger.url, rabbitmqUrl: vhost.url });
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await deployment.close();
  await ledger.close();
  await vhost.drop();
});

const appendJob = () => ledger.append(newId(), a.requested(), a.started(), a.completed());

/** Many jobs of three events each, stored at once. */
async function appendJobs(count: number): Promise<void> {
  await appendJob();
  await ledger.rows(`
    insert into log.events (position, recorded_at, occurred_at, event_id, version, schema_version, stream_id, type, data, metadata)
    select position + number * 3, recorded_at, occurred_at, gen_random_uuid(), version, schema_version,
           'job-' || number, type, data, metadata
    from log.events, generate_series(1, ${String(count - 1)}) as number`);
}

async function expectExact(): Promise<void> {
  const { database, store } = ledger;
  const results = await rebuild({
    names: [],
    database,
    store,
    verify: true,
    shadow: true,
    fresh: true,
  });
  expect(results.map(({ different }) => different)).toEqual([[], []]);
}

/** The process that keeps each projection, by the port of its connection. */
const keepers = () =>
  ledger.rows(`
    select activity.application_name as name, activity.client_port as port
    from pg_locks as lock join pg_stat_activity as activity using (pid)
    where lock.locktype = 'advisory' and lock.granted and activity.datname = current_database()
      and activity.application_name like '%lead projections:%'`);

describe('a projector that is killed', () => {
  test('41 leaves its projections to another one, which has them within 5 s', async () => {
    const [first] = [await deployment.startProjector(), await deployment.startProjector()];
    await eventually(async () => {
      expect(await keepers()).toHaveLength(2);
    });
    const before = await appendJob();
    await eventually(async () => {
      expect(await positions()).toEqual([before, before]);
    });
    first.kill('SIGKILL');
    const killed = performance.now();
    const after = await appendJob();
    await eventually(async () => {
      expect(await positions()).toEqual([after, after]);
    });
    expect(performance.now() - killed).toBeLessThan(5_000);
    await expectExact();
  });

  const positions = async () =>
    (await ledger.rows(`select position from read.projections where live order by name`)).map(
      ({ position }) => BigInt(String(position)),
    );
});

describe('45 a rebuild that is killed', () => {
  const slots = () =>
    ledger.rows(`select name, position::int as position from log.followers where name ~ '/'`);

  function startRebuild(): ChildProcess {
    const args = ['projections', 'rebuild', 'jobs', '--yes', '--slots', '3'];
    const child = spawn(process.execPath, [resolve('dist/cli/main.js'), ...args], {
      env: { PATH: process.env['PATH'] ?? '', ...deployment.environment },
      stdio: 'ignore',
    });
    children.push(child);
    return child;
  }

  test(
    'goes on where each of its slots was, and ends with the same rows',
    { timeout: 180_000 },
    async () => {
      await appendJobs(20_000);
      await ledger.catchUp();
      const before = await ledger.hashes();
      const child = startRebuild();
      await eventually(
        async () => {
          const positions = (await slots()).map(({ position }) => Number(position));
          expect(Math.max(...positions)).toBeGreaterThan(0);
        },
        { everyMs: 5, timeoutMs: 60_000 },
      );
      child.kill('SIGKILL');
      await once(child, 'exit');
      const left = await slots();
      expect(left).toHaveLength(3);
      expect(Math.max(...left.map(({ position }) => Number(position)))).toBeLessThan(60_000);

      const { code, stdout } = await run(
        ['projections', 'rebuild', 'jobs', '--yes', '--verify', '--json'],
        { env: deployment.environment, cwd: deployment.folder },
      );
      expect([code, JSON.parse(stdout)]).toMatchObject([
        0,
        [{ outcome: 'swapped', verified: true, generation: 2 }],
      ]);
      expect((JSON.parse(stdout) as [{ events: number }])[0].events).toBeLessThan(60_000);
      expect(await slots()).toEqual([]);
      expect(await ledger.hashes()).toEqual(before);
    },
  );

  test('is cancelled from the command line, and nothing of it is left', async () => {
    // Enough that it is still under way when the command has started.
    await appendJobs(100_000);
    const child = startRebuild();
    await eventually(
      async () => {
        expect(await slots()).toHaveLength(3);
      },
      { everyMs: 5 },
    );
    const { code } = await run(['projections', 'cancel', 'jobs'], {
      env: deployment.environment,
      cwd: deployment.folder,
    });
    expect(code).toBe(0);
    expect(await once(child, 'exit')).toEqual([1, null]);
    expect(await slots()).toEqual([]);
    expect(
      await ledger.rows(`select name from read.projections where name = 'jobs' and not live`),
    ).toEqual([]);
  });
});
