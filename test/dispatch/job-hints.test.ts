import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { HintWindow } from '../../src/dispatch/hint-window.ts';
import { JobHints } from '../../src/dispatch/job-hints.ts';
import type { JobRequest } from '../../src/events/job.ts';
import type { OutgoingMessage } from '../../src/messaging/transport.ts';
import {
  attemptFailed,
  cancelled,
  completed,
  failed,
  interrupted,
  paused,
  requested,
  resumed,
  retryRequested,
  started,
} from '../support/jobs.ts';
import { FakeTransport, Ledger, silent } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(async () => {
  await ledger.close();
});

let transport: FakeTransport;
let hints: JobHints;
const redispatchAfterMs = 30_000;

beforeEach(async () => {
  await ledger.wipe();
  transport = new FakeTransport();
  hints = newHints();
});

const newHints = (
  through: Pick<FakeTransport, 'publish' | 'isReady' | 'queues'> = transport,
): JobHints =>
  new JobHints({
    database: ledger.database,
    transport: through,
    window: new HintWindow(ledger.clock),
    counts: ledger.counts,
    redispatchAfterMs,
    clock: ledger.clock,
    logger: silent,
  });

const queue: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'queue' } };
const supersede: Partial<JobRequest> = { concurrency: { key: 'k', strategy: 'supersede' } };

/** Folds, and gives the jobs that are hinted then. */
async function hinted(): Promise<readonly string[]> {
  await ledger.fold();
  await hints.runOnce();
  return transport.hintedJobs();
}

/** As if the hints that are out had been published so long ago. */
async function age(ms: number): Promise<void> {
  await ledger.rows(`
    update dispatch.jobs set hinted_at = hinted_at - interval '${String(ms)} ms'
    where hinted_at is not null`);
}

test('a requested job is hinted once, with its place in the log', async () => {
  const position = await ledger.append('j', requested({ priority: 7, workflow: 'review' }));
  await ledger.fold();
  await hints.runOnce();
  expect(transport.published).toEqual([
    {
      exchange: 'workflow.jobs',
      routingKey: 'new.review',
      messageId: 'j:1',
      body: { jobId: 'j', position: String(position), version: 1 },
      mandatory: true,
      priority: 7,
    },
  ]);
  await hints.runOnce();
  expect(transport.published).toHaveLength(1);
});

test('a resumed job has a queue of its own', async () => {
  await ledger.append('j', requested(), started(), paused(), resumed());
  await ledger.fold();
  await hints.runOnce();
  expect(transport.published).toMatchObject([{ routingKey: 'resumed.review', messageId: 'j:4' }]);
});

test('running, waiting and ended jobs are not hinted', async () => {
  await ledger.append('running', requested(), started());
  await ledger.append('paused', requested(), started(), paused());
  await ledger.append('retrying', requested(), started(), attemptFailed());
  await ledger.append('done', requested(), started(), completed());
  expect(await hinted()).toEqual([]);
});

test('a job is hinted again each time it becomes ready', async () => {
  await ledger.append('j', requested());
  expect(await hinted()).toEqual(['j']);
  await ledger.append('j', started(), paused(), resumed());
  expect(await hinted()).toEqual(['j']);
  await ledger.append('j', started('r2'), failed(), retryRequested());
  expect(await hinted()).toEqual(['j']);
});

test('the highest priority comes first, and then the oldest', async () => {
  await ledger.append('old', requested({ priority: 5 }));
  await ledger.append('low', requested({ priority: 1 }));
  await ledger.append('high', requested({ priority: 9 }));
  await ledger.append('new', requested({ priority: 5 }));
  expect(await hinted()).toEqual(['high', 'old', 'new', 'low']);
});

describe('jobs of one key', () => {
  test('are hinted one at a time when they queue, also past a retry by hand', async () => {
    await ledger.append('a', requested(queue));
    await ledger.append('b', requested(queue));
    expect(await hinted()).toEqual(['a']);
    await ledger.append('a', started(), failed());
    expect(await hinted()).toEqual(['b']);
    await ledger.append('a', retryRequested());
    await ledger.append('b', started());
    expect(await hinted()).toEqual([]);
    await ledger.append('b', completed());
    expect(await hinted()).toEqual(['a']);
  });

  test('are not hinted when a newer one supersedes them', async () => {
    await ledger.append('a', requested(supersede));
    await ledger.append('b', requested(supersede));
    expect(await hinted()).toEqual(['b']);
  });
});

describe('a hint that nobody took', () => {
  test('is published again after its time, and then again', async () => {
    await ledger.append('j', requested());
    expect(await hinted()).toEqual(['j']);
    await age(29_000);
    expect(await hinted()).toEqual([]);
    await age(2_000);
    expect(await hinted()).toEqual(['j']);
    expect(await hinted()).toEqual([]);
    await age(31_000);
    ledger.now = new Date(ledger.now.getTime() + 31_000);
    expect(await hinted()).toEqual(['j']);
  });

  test('is not published again while it may still stand in the queue', async () => {
    await ledger.append('a', requested());
    await ledger.append('b', requested());
    expect(await hinted()).toEqual(['a', 'b']);
    transport.depth = 2;
    await age(31_000);
    expect(await hinted()).toEqual([]);
    transport.depth = 1;
    ledger.now = new Date(ledger.now.getTime() + 8_000);
    expect(await hinted()).toEqual(['a', 'b']);
  });

  test('is published again when the queue cannot be counted', async () => {
    await ledger.append('a', requested());
    await hinted();
    transport.depth = null;
    await age(31_000);
    expect(await hinted()).toEqual(['a']);
  });

  test('is published again after ten times as long whatever stands in the queue', async () => {
    await ledger.append('a', requested());
    await hinted();
    transport.depth = 1_000;
    await age(301_000);
    expect(await hinted()).toEqual(['a']);
  });

  test('is looked for when its time comes', async () => {
    await ledger.append('j', requested());
    await ledger.fold();
    expect(await hints.runOnce()).toBe(30_000);
    await age(20_000);
    const dueInMs = await hints.runOnce();
    expect(dueInMs).toBeGreaterThan(9_000);
    expect(dueInMs).toBeLessThanOrEqual(10_000);
  });

  test('is not published again when its job was taken or cancelled', async () => {
    await ledger.append('a', requested());
    await ledger.append('b', requested());
    await hinted();
    await age(31_000);
    await ledger.append('a', started());
    await ledger.append('b', cancelled);
    expect(await hinted()).toEqual([]);
  });
});

describe('a broker', () => {
  test('that is away is not asked, and gets all when it is back', async () => {
    transport.ready = false;
    await ledger.append('a', requested());
    expect(await hinted()).toEqual([]);
    transport.ready = true;
    expect(await hinted()).toEqual(['a']);
  });

  test('that refuses one gets it again, and not the others', async () => {
    await ledger.append('a', requested());
    await ledger.append('b', requested());
    transport.refuse = ({ messageId }) => messageId === 'a:1';
    await expect(hinted()).rejects.toThrow('1 of 2 messages about jobs were not confirmed');
    expect(transport.hintedJobs()).toEqual(['b']);
    transport.refuse = () => false;
    expect(await hinted()).toEqual(['a']);
  });

  test('that is slow does not make a job forgotten that became ready once more meanwhile', async () => {
    await ledger.append('a', requested());
    await ledger.fold();
    const publish = async (): Promise<void> => {
      await ledger.append('a', started(), interrupted('released'));
      await ledger.fold();
    };
    const slow = { isReady: () => true, queues: () => transport.queues(), publish };
    await newHints(slow).runOnce();
    expect(await hinted()).toEqual(['a']);
  });

  test('that can never take one is not kept from the others by it', async () => {
    await ledger.append('a', requested());
    await ledger.append('b', requested());
    const publish = (message: OutgoingMessage): Promise<void> =>
      message.messageId === 'a:1'
        ? Promise.reject(new RangeError('The routing key is too long'))
        : transport.publish(message);
    const through = { isReady: () => true, queues: () => transport.queues(), publish };
    await ledger.fold();
    await newHints(through).runOnce();
    expect(transport.hintedJobs()).toEqual(['b']);
    expect(await hinted()).toEqual([]);
  });

  test('that lost its data gets the hints again after their time', async () => {
    await ledger.append('a', requested());
    await hinted();
    hints = newHints();
    await age(30_000);
    expect(await hinted()).toEqual(['a']);
  });
});

describe('of many jobs', () => {
  const many = async (count: number): Promise<void> => {
    await Promise.all(
      Array.from({ length: count }, (_, n) => ledger.append(`j${String(n)}`, requested())),
    );
  };

  test('no more are hinted than keep the workers busy', async () => {
    await many(60);
    await ledger.rows(`
      insert into dispatch.workers (id, host, concurrency) values ('w', 'h', 10), ('v', 'h', 6)`);
    await hints.runOnce();
    expect(await hinted()).toHaveLength(32);
    expect(hints.isFull).toBe(true);
    expect(await hinted()).toEqual([]);
    const [first] = await ledger.rows(
      'select job_id from dispatch.jobs where hinted_at is not null',
    );
    await ledger.append(String(first?.['job_id']), started());
    expect(await hinted()).toHaveLength(1);
  });

  test('the highest priority is among those that are hinted, however late it came', async () => {
    await ledger.rows(`insert into dispatch.workers (id, host, concurrency) values ('w', 'h', 1)`);
    await hints.runOnce();
    await many(30);
    await ledger.append('urgent', requested({ priority: 9 }));
    expect((await hinted())[0]).toBe('urgent');
  });

  test('those that no worker knows do not stand in the way of the others', async () => {
    await ledger.rows(`insert into dispatch.workers (id, host, concurrency) values ('w', 'h', 1)`);
    await hints.runOnce();
    for (let n = 0; n < 20; n++)
      await ledger.append(`u${String(n)}`, requested({ workflow: 'unknown' }));
    await ledger.append('a', requested({ workflow: 'a' }));
    await ledger.append('z', requested({ workflow: 'z', priority: 9 }));
    const first = await hinted();
    expect(first).toHaveLength(16 + 2);
    expect(first[0]).toBe('z');
    expect(first).toContain('a');
    await ledger.append('b', requested({ workflow: 'z' }));
    expect(await hinted()).toEqual(['b']);
  });

  test('thirty-two are hinted while there is no worker', async () => {
    await many(120);
    expect(await hinted()).toHaveLength(32);
  });

  test('more are hinted ahead the faster they are taken', () => {
    let ms = 0;
    const window = new HintWindow(() => new Date(ms));
    expect(window.size(10)).toBe(20);
    window.taken(1_000);
    ms = 1_000;
    expect(window.size(10)).toBe(20 + 250);
    ms = 11_000;
    expect(window.size(10)).toBeLessThan(30);
    window.taken(1_000_000);
    ms = 12_000;
    expect(window.size(10)).toBe(5_000);
  });
});

describe('a job that its appender has told the workers of', () => {
  const prompt = { ...requested(), metadata: { hinted: true } };

  test('is not hinted again', async () => {
    await ledger.append('j', prompt);
    expect(await hinted()).toEqual([]);
  });

  test('is hinted when nobody took it for a while, as its appender may have died', async () => {
    await ledger.append('j', prompt);
    await ledger.fold({ promptEarlierMs: redispatchAfterMs + 1 });
    await hints.runOnce();
    expect(transport.hintedJobs()).toEqual(['j']);
  });

  test('is hinted by the dispatcher once it is ready anew', async () => {
    await ledger.append('j', prompt, started(), interrupted('released'));
    expect(await hinted()).toEqual(['j']);
  });
});
