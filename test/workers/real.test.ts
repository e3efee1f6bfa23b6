import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { Dispatcher } from '../../src/dispatch/dispatcher.ts';
import { findWaiting } from '../../src/dispatch/waiting-jobs.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import { tail } from '../../src/event-store/tail.ts';
import type { Recorded } from '../../src/events/event.ts';
import type { JobEvent, JobRequest } from '../../src/events/job.ts';
import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { signal as signalDestination } from '../../src/messaging/topology.ts';
import { Database } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import { openDoor } from '../../src/processes/door.ts';
import { type Workflow, defineWorkflow } from '../../src/sdk/index.ts';
import { loadRunningSteps } from '../../src/read/job-steps.ts';
import { AstConsumer } from '../../src/workers/ast-consumer.ts';
import { Heartbeat } from '../../src/workers/heartbeat.ts';
import { ProgressBoard } from '../../src/workers/progress-board.ts';
import { LOSS_TYPES, noticeOf } from '../../src/workers/running-jobs.ts';
import { Worker } from '../../src/workers/worker.ts';
import { DecideJob, type Door } from '../../src/write/door.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { createDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { request as jobRequest } from '../support/jobs.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { gate, silent } from './engine.ts';

const config = { leaseMs: 3_000, redispatchAfterMs: 500, shutdownGraceMs: 5_000 };
const closers: (() => Promise<void>)[] = [];
let database: Database;
let store: PostgresEventStore;
let door: Door;
let transport: RabbitmqTransport;
const hints = new LocalLogHints();
const dispatching = new AbortController();

beforeAll(async () => {
  const [{ url, drop }, vhost] = await Promise.all([createDatabase(), createVhost()]);
  database = new Database(url, { max: 10, applicationName: 'test', logger: silent });
  const lane = appendLane({ databaseUrl: url, logger: silent });
  store = new PostgresEventStore({ database, lane, hints });
  const opened = await openDoor({
    store,
    findWaiting: (event, key) => findWaiting(database, event, key),
  });
  door = opened.door;
  transport = new RabbitmqTransport({ url: vhost.url, name: 'test', logger: silent });
  await transport.start();
  const dispatcher = new Dispatcher({
    database,
    databaseUrl: url,
    store,
    hints,
    door,
    transport,
    config,
    clock: () => new Date(),
    logger: silent,
  });
  const dispatched = dispatcher.run(dispatching.signal);
  closers.push(async () => {
    dispatching.abort();
    await dispatched;
    await transport.close();
    await opened.close();
    await lane.close();
    await database.close();
    await Promise.all([drop(), vhost.drop()]);
  });
});

afterAll(async () => {
  for (const close of closers) await close();
});

let stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()));
  stops = [];
});

function start(workflows: readonly Workflow[], workerConcurrency = 4) {
  const stop = new AbortController();
  const worker = new Worker({
    door,
    transport,
    workflows: new Map(workflows.map((workflow) => [workflow.name, workflow])),
    database,
    async *notices(signal) {
      const after = await store.head();
      for await (const page of tail({ store, hints, after, types: LOSS_TYPES }, signal)) {
        yield page.map(noticeOf).filter((notice) => notice !== null);
      }
    },
    logger: silent,
    config: { ...config, workerConcurrency },
    version: 'test',
  });
  const ended = worker.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await ended;
  };
  stops.push(end);
  return { worker, stop: end };
}

const execute = (jobId: string, command: JobCommand) => door.execute(new DecideJob(jobId, command));

async function request(workflow: string, change: Partial<JobRequest> = {}): Promise<string> {
  const jobId = randomUUID();
  const data = jobRequest({ workflow, ...change });
  await execute(jobId, { type: 'RequestJob', at: new Date(), data });
  return jobId;
}

const events = (jobId: string): Promise<readonly Recorded<JobEvent>[]> =>
  store.readStream<JobEvent>(jobId);

async function untilIn(jobId: string, type: JobEvent['type']): Promise<Recorded<JobEvent>> {
  return await eventually(async () => {
    const found = (await events(jobId)).findLast((event) => event.type === type);
    if (found === undefined) throw new Error(`No ${type} yet`);
    return found;
  });
}

describe('on Postgres and RabbitMQ', () => {
  test('many jobs with steps, waits and retries run to their ends, each step kept once', async () => {
    const name = 'mixed';
    let failures = 20;
    const mixed = defineWorkflow({
      name,
      retry: { firstDelayMs: 10, maxDelayMs: 50 },
      async run(ctx) {
        const parts = await Promise.all(
          [1, 2, 3].map((n) => ctx.step(`part ${String(n)}`, () => n)),
        );
        const answer = await ctx.waitForEvent('answered', { key: ctx.job.id });
        await ctx.step('flaky', () => {
          if (failures-- > 0) throw new Error('not yet');
        });
        await ctx.sleep('a moment', 5);
        return { parts, answer: answer?.payload ?? null };
      },
    });
    start([mixed]);
    start([mixed]);
    const jobIds = await Promise.all(Array.from({ length: 30 }, () => request(name)));
    await Promise.all(
      jobIds.map(async (jobId, index) => {
        const id = randomUUID();
        // Half of the signals come before their job has paused.
        if (index % 2 === 0) await untilIn(jobId, 'JobPaused');
        await transport.publish({
          ...signalDestination('answered'),
          messageId: id,
          body: { id, event: 'answered', key: jobId, payload: index },
          mandatory: true,
        });
      }),
    );
    await Promise.all(
      jobIds.map(async (jobId, index) => {
        const { data } = await untilIn(jobId, 'JobCompleted');
        expect(data).toMatchObject({ result: { parts: [1, 2, 3], answer: index } });
        const steps = (await events(jobId)).filter((event) => event.type === 'JobStepCompleted');
        expect(steps.map((event) => event.data.name).toSorted()).toEqual([
          'flaky',
          'part 1',
          'part 2',
          'part 3',
        ]);
      }),
    );
  });

  test('a cancelled job hears of it within a second', async () => {
    const begun = gate();
    const heard = gate();
    const long = defineWorkflow({
      name: 'long',
      run: (ctx) =>
        ctx.step('long', async () => {
          ctx.signal.addEventListener('abort', () => {
            heard.open();
          });
          begun.open();
          await heard.opened;
        }),
    });
    start([long]);
    const jobId = await request('long');
    await begun.opened;
    const from = performance.now();
    await execute(jobId, { type: 'CancelJob', at: new Date(), data: { reason: null } });
    await heard.opened;
    expect(performance.now() - from).toBeLessThan(1_000);
  });

  test('a worker that is full leaves the hints to one that is not', async () => {
    const name = 'filling';
    const open = gate();
    let begun = 0;
    const filling = defineWorkflow({
      name,
      run: (ctx) =>
        ctx.step('wait', async () => {
          begun++;
          await open.opened;
        }),
    });
    start([filling], 2);
    const jobIds = await Promise.all(Array.from({ length: 6 }, () => request(name)));
    await eventually(() => {
      expect(begun).toBe(2);
    });
    start([filling], 4);
    await eventually(() => {
      expect(begun).toBe(6);
    });
    open.open();
    await Promise.all(jobIds.map((jobId) => untilIn(jobId, 'JobCompleted')));
  });

  test('a stopped worker gives its job to another, which goes on behind the kept step', async () => {
    const name = 'deployed';
    const slow = gate();
    const ran: string[] = [];
    const deployed = defineWorkflow({
      name,
      async run(ctx) {
        await ctx.step('one', async () => {
          ran.push('one');
          await slow.opened;
        });
        await ctx.step('two', () => {
          ran.push('two');
        });
      },
    });
    const { stop } = start([deployed]);
    const jobId = await request(name);
    await eventually(() => {
      expect(ran).toEqual(['one']);
    });
    const stopped = stop();
    start([deployed]);
    slow.open();
    await stopped;
    expect(await untilIn(jobId, 'JobCompleted')).toMatchObject({ data: { attempt: 1 } });
    expect(ran).toEqual(['one', 'two']);
    const workers = await database.query(sql`select id from dispatch.workers`);
    expect(workers).toHaveLength(1);
  });

  test('a request for an analysis is answered, and the job goes on with the answer', async () => {
    const asking = defineWorkflow({
      name: 'asking',
      run: (ctx) =>
        ctx.waitForEvent('ast.completed', {
          key: ctx.job.id,
          request: { topic: 'ast', body: { n: 20 } },
        }),
    });
    start([asking]);
    const stop = new AbortController();
    const analyses = new AstConsumer({
      transport,
      logger: silent,
      analyse: ({ n }) => Promise.resolve({ twice: 2 * Number(n) }),
    }).run(stop.signal);
    stops.push(async () => {
      stop.abort();
      await analyses;
    });
    const jobId = await request('asking');
    expect(await untilIn(jobId, 'JobCompleted')).toMatchObject({
      data: { result: { event: 'ast.completed', key: jobId, payload: { twice: 40 } } },
    });
  });

  test('a job that runs at its deadline hears of it, and has failed', async () => {
    const aborted = gate<unknown>();
    const endless = defineWorkflow({
      name: 'endless',
      run: (ctx) =>
        ctx.step(
          'wait',
          ({ signal }) =>
            new Promise<void>((resolve) => {
              signal.addEventListener('abort', () => {
                aborted.open(signal.reason);
                resolve();
              });
            }),
        ),
    });
    start([endless]);
    const jobId = await request('endless', { timeoutMs: 500 });
    expect(String(await aborted.opened)).toContain('the job was out of time');
    await untilIn(jobId, 'JobFailed');
    expect((await events(jobId)).at(-1)).toMatchObject({
      type: 'JobFailed',
      data: { error: { name: 'JobTimeout', classification: 'timeout' } },
    });
  });

  test('the progress of a running job is shown, the last word of it, and no more after its end', async () => {
    const open = gate();
    const telling = defineWorkflow({
      name: 'telling',
      run: (ctx) =>
        ctx.step('tell', async () => {
          for (let percent = 0; percent <= 60; percent++) ctx.progress(percent, 'reading\0');
          await open.opened;
        }),
    });
    start([telling]);
    const jobId = await request('telling');
    const shown = () =>
      database.query(sql`select percent, message from dispatch.progress where job_id = ${jobId}`);
    await eventually(async () => {
      expect(await shown()).toEqual([{ percent: 60, message: 'reading' }]);
      const [steps] = await loadRunningSteps(database, [jobId]);
      expect(steps).toEqual([{ name: 'tell', startedAt: expect.any(String) }]);
    });
    open.open();
    await untilIn(jobId, 'JobCompleted');
    await eventually(async () => {
      expect(await shown()).toEqual([]);
    });
  });
});

describe('the rows', () => {
  test('a heartbeat keeps one row, which says what the worker does, and takes it away', async () => {
    const stop = new AbortController();
    let running = 0;
    const heartbeat = new Heartbeat({
      database,
      logger: silent,
      leaseMs: 6_000,
      concurrency: 7,
      running: () => running,
      version: '1.2.3',
      host: 'h1',
    });
    const ended = heartbeat.run(stop.signal);
    const rows = () =>
      database.query<{ id: string; last_seen_at: Date }>(
        sql`select * from dispatch.workers where host = 'h1'`,
      );
    const [first] = await eventually(async () => {
      const found = await rows();
      expect(found).toMatchObject([
        { concurrency: 7, running: 0, draining: false, version: '1.2.3' },
      ]);
      return found;
    });
    running = 3;
    heartbeat.drain();
    await eventually(async () => {
      const [later] = await rows();
      expect(later).toMatchObject({ id: first?.id, running: 3, draining: true });
      expect(later?.last_seen_at.getTime()).toBeGreaterThan(first?.last_seen_at.getTime() ?? 0);
    });
    stop.abort();
    await ended;
    expect(await rows()).toEqual([]);
  });

  test('progress of a job that is not open is not shown, and a failed write fails nothing', async () => {
    const board = new ProgressBoard(database, silent);
    const jobId = randomUUID();
    board.show(jobId, 50, null);
    await board.write();
    expect(
      await database.query(sql`select from dispatch.progress where job_id = ${jobId}`),
    ).toEqual([]);
    const broken = new ProgressBoard(
      { query: () => Promise.reject(new Error('connection refused')) },
      silent,
    );
    broken.show(jobId, 50, null);
    await expect(broken.write()).resolves.toBeUndefined();
  });
});
