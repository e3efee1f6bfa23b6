import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { resetDispatch } from '../../src/dispatch/control-follower.ts';
import { Dispatcher } from '../../src/dispatch/dispatcher.ts';
import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { QUEUES, signal as signalDestination } from '../../src/messaging/topology.ts';
import type { Transport } from '../../src/messaging/transport.ts';
import { DecideJob } from '../../src/write/door.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { eventually } from '../support/eventually.ts';
import { paused, request, requested, started } from '../support/jobs.ts';
import { type PrivateRabbitmq, startPrivateRabbitmq } from '../support/private-servers.ts';
import { Ledger, silent } from './support.ts';

let ledger: Ledger;
let stop: AbortController;
let running: Promise<void>[];
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
  stop = new AbortController();
  running = [];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running);
});
afterAll(async () => {
  await ledger.close();
});

function dispatch(
  transport: Transport,
  config: { redispatchAfterMs?: number } = {},
  signal = stop.signal,
): Dispatcher {
  const dispatcher = new Dispatcher({
    database: ledger.database,
    databaseUrl: ledger.url,
    store: ledger.store,
    hints: ledger.hints,
    door: ledger.door,
    transport,
    // The workers of these tests send no heartbeats.
    config: { leaseMs: 3_600_000, redispatchAfterMs: 30_000, ...config },
    clock: () => new Date(),
    logger: silent,
  });
  running.push(dispatcher.run(signal));
  return dispatcher;
}

/** Takes the jobs that are hinted, as a worker does; gives their ids in order, repetitions too. */
function work(transport: Transport, take: (jobId: string) => Promise<void>): string[] {
  const seen: string[] = [];
  for (const queue of [QUEUES.jobs, QUEUES.resumedJobs]) {
    const handle = async ({ body }: { body: unknown }): Promise<'ack'> => {
      const { jobId } = body as { jobId: string };
      seen.push(jobId);
      await take(jobId);
      return 'ack';
    };
    running.push(transport.consume({ queue, prefetch: 10, handle }, stop.signal));
  }
  return seen;
}

const start = async (jobId: string, runId = 'r1'): Promise<void> => {
  const data = { runId: `${jobId} ${runId}`, workerId: 'w1' };
  await decide(jobId, { type: 'StartJob', at: new Date(), data });
};

async function decide(jobId: string, command: DecideJob['command']): Promise<void> {
  try {
    await ledger.door.execute(new DecideJob(jobId, command));
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
  }
}

const types = (jobId: string): Promise<readonly string[]> => ledger.types(jobId);

describe('within one process', () => {
  let transport: InProcessTransport;
  beforeEach(() => {
    transport = new InProcessTransport({ logger: silent });
  });
  afterEach(async () => {
    await transport.close();
  });

  test('a requested job reaches a worker', async () => {
    dispatch(transport);
    work(transport, start);
    await ledger.append('j', requested());
    await eventually(async () => {
      expect(await types('j')).toEqual(['JobRequested', 'JobStarted']);
    });
  });

  test('a waiting job asks, is answered and goes on', async () => {
    dispatch(transport);
    const seen = work(transport, async (jobId) => {
      const first = !(await types(jobId)).includes('JobPaused');
      await start(jobId, first ? 'r1' : 'r2');
      if (!first) return;
      const wait = paused({ request: { topic: 'ast', body: { n: 1 } } });
      if (wait.type !== 'JobPaused') return;
      const data = { runId: `${jobId} r1`, wait: wait.data.wait };
      await decide(jobId, { type: 'PauseJob', at: new Date(), data });
    });
    const answer = async ({ body }: { body: unknown }): Promise<'ack'> => {
      const { waitId, n } = body as { waitId: string; n: number };
      await transport.publish({
        ...signalDestination('done'),
        messageId: waitId,
        body: { id: 'answer', event: 'done', key: null, payload: n + 1 },
      });
      return 'ack';
    };
    running.push(
      transport.consume({ queue: QUEUES.ast, prefetch: 1, handle: answer }, stop.signal),
    );
    await ledger.append('j', requested());
    await eventually(async () => {
      expect(await types('j')).toEqual([
        'JobRequested',
        'JobStarted',
        'JobPaused',
        'JobResumed',
        'JobStarted',
      ]);
    });
    expect((await ledger.events('j'))[3]).toMatchObject({ data: { outcome: { payload: 2 } } });
    expect(seen).toEqual(['j', 'j']);
  });

  test('one of two instances leads, and the other takes over within seconds', async () => {
    const first = new AbortController();
    dispatch(transport, {}, AbortSignal.any([first.signal, stop.signal]));
    work(transport, start);
    await ledger.append('a', requested());
    await eventually(async () => {
      expect(await types('a')).toContain('JobStarted');
    });
    dispatch(transport);
    first.abort();
    await running[0];
    await ledger.append('b', requested());
    await eventually(async () => {
      expect(await types('b')).toContain('JobStarted');
    });
  });

  test('many more jobs than are hinted at a time run one after the other', async () => {
    const dispatcher = dispatch(transport);
    await ledger.rows(`insert into dispatch.workers (id, host, concurrency) values ('w1', 'h', 1)`);
    const ids = Array.from({ length: 250 }, (_, n) => `m${String(n)}`);
    await Promise.all(ids.map((id) => ledger.append(id, requested())));
    await eventually(() => {
      expect(dispatcher.counts.hints).toBeGreaterThanOrEqual(16);
    });
    work(transport, start);
    await eventually(
      async () => {
        const taken = `select 1 from dispatch.jobs where phase = 'running'`;
        expect(await ledger.rows(taken)).toHaveLength(250);
      },
      { timeoutMs: 15_000 },
    );
    expect(dispatcher.counts.hints).toBe(250);
  });

  test('a reset while it works begins anew and loses nothing', async () => {
    dispatch(transport);
    work(transport, start);
    for (let n = 0; n < 20; n++) {
      await ledger.append(`j${String(n)}`, requested());
      if (n % 5 === 0) await resetDispatch(ledger.database);
    }
    await eventually(
      async () => {
        const open = await ledger.rows(`select 1 from dispatch.jobs where phase = 'running'`);
        expect(open).toHaveLength(20);
      },
      { timeoutMs: 15_000 },
    );
  });

  test('a reset is noticed when nothing else happens', async () => {
    dispatch(transport);
    await ledger.append('j', requested(), started());
    const openJobs = () => ledger.rows('select job_id from dispatch.jobs');
    await eventually(async () => {
      expect(await openJobs()).toHaveLength(1);
    });
    await resetDispatch(ledger.database);
    await eventually(async () => {
      expect(await openJobs()).toHaveLength(1);
    });
  });

  test('jobs of one key run one after the other, in order', async () => {
    dispatch(transport);
    let atOnce = 0;
    let most = 0;
    const order: string[] = [];
    work(transport, async (jobId) => {
      atOnce++;
      most = Math.max(most, atOnce);
      await start(jobId);
      order.push(jobId);
      const data = { runId: `${jobId} r1`, result: null };
      atOnce--;
      await decide(jobId, { type: 'CompleteJob', at: new Date(), data });
    });
    const ids = Array.from({ length: 10 }, (_, n) => `q${String(n)}`);
    for (const id of ids) {
      await ledger.append(id, requested({ concurrency: { key: 'k', strategy: 'queue' } }));
    }
    await eventually(() => {
      expect(order).toEqual(ids);
    });
    expect(most).toBe(1);
  });

  test('jobs of one key run so many at a time, each when one before it has ended', async () => {
    dispatch(transport);
    const atWork = new Set<string>();
    let most = 0;
    const ended: string[] = [];
    work(transport, async (jobId) => {
      await start(jobId);
      atWork.add(jobId);
      most = Math.max(most, atWork.size);
      await new Promise((resolve) => setTimeout(resolve, 20));
      atWork.delete(jobId);
      ended.push(jobId);
      const data = { runId: `${jobId} r1`, result: null };
      await decide(jobId, { type: 'CompleteJob', at: new Date(), data });
    });
    const concurrency = { key: 'k', strategy: 'limit', limit: 2 } as const;
    const ids = Array.from({ length: 8 }, (_, n) => `j${String(n)}`);
    for (const id of ids) await ledger.append(id, requested({ concurrency }));
    await eventually(() => {
      expect(ended.toSorted()).toEqual(ids);
    });
    expect(most).toBe(2);
  });

  test('a schedule starts a job that a worker takes, and a rate lets them come one by one', async () => {
    const rateLimit = { key: 'k', limit: 1, perMs: 300 };
    const job = { ...request({ rateLimit }), deliveryId: undefined };
    const each = { workflow: 'review', name: 'each', cron: '* * * * *', timeZone: 'UTC', job };
    await ledger.database.query({
      text: `insert into dispatch.declarations (id, workflows, schedules) values ('w', $1, $2)`,
      values: [['review'], JSON.stringify([each])],
    });
    await ledger.rows(`
      insert into dispatch.schedules (workflow, name, cron, time_zone, job, next_at)
      values ('review', 'each', '* * * * *', 'UTC', '{}', now() - interval '5 minutes')`);
    dispatch(transport);
    work(transport, start);
    for (const id of ['a', 'b']) await ledger.append(id, requested({ rateLimit }));
    const starts = await eventually(
      async () => {
        const rows = await ledger.rows<{ at: Date }>(
          `select recorded_at as at from log.events where type = 'JobStarted' order by position`,
        );
        expect(rows.length).toBeGreaterThanOrEqual(3);
        return rows;
      },
      { timeoutMs: 30_000 },
    );
    const [first, second, third] = starts.map(({ at }) => at.getTime());
    expect(Number(second) - Number(first)).toBeGreaterThanOrEqual(300);
    expect(Number(third) - Number(second)).toBeGreaterThanOrEqual(300);
  });

  test('of many pushes at once the newest is left', async () => {
    dispatch(transport);
    work(transport, start);
    const concurrency = { key: 'k', strategy: 'supersede' } as const;
    await ledger.append('first', requested({ concurrency }));
    await eventually(async () => {
      expect(await types('first')).toContain('JobStarted');
    });
    const ids = Array.from({ length: 50 }, (_, n) => `p${String(n)}`);
    await Promise.all(
      ids.map((id) =>
        decide(id, { type: 'RequestJob', at: new Date(), data: request({ concurrency }) }),
      ),
    );
    await eventually(async () => {
      const open = await ledger.rows('select job_id, phase from dispatch.jobs');
      expect(open).toHaveLength(1);
      const [last] = await ledger.rows(`
        select stream_id as job_id from log.events where type = 'JobRequested'
        order by position desc limit 1`);
      expect(open).toEqual([{ ...last, phase: 'running' }]);
    });
  });
});

describe('over RabbitMQ', () => {
  let broker: PrivateRabbitmq;
  let transport: RabbitmqTransport;
  beforeAll(async () => {
    broker = await startPrivateRabbitmq();
    transport = new RabbitmqTransport({ url: broker.url, name: 'test', logger: silent });
    await transport.start();
  });
  afterAll(async () => {
    await transport.close();
    await broker.close();
  });

  test('hints that were wiped with the broker are published again, and the relay goes on', async () => {
    const dispatcher = dispatch(transport, { redispatchAfterMs: 1_000 });
    await ledger.append('a', requested());
    await eventually(() => {
      expect(dispatcher.counts.hints).toBe(1);
    });
    await broker.stop();
    await ledger.append('b', requested(), started());
    await ledger.append('c', requested());
    await broker.wipe();
    await broker.start();
    const seen = work(transport, start);
    await eventually(
      async () => {
        expect(new Set(seen)).toEqual(new Set(['a', 'c']));
        expect(await types('a')).toEqual(['JobRequested', 'JobStarted']);
        expect(await types('c')).toEqual(['JobRequested', 'JobStarted']);
        expect(await dispatcher.relay.lag()).toBe(0n);
      },
      { timeoutMs: 60_000 },
    );
  }, 120_000);
});
