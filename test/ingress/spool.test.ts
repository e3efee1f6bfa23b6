import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from 'amqplib';
import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';

import type { IngressOptions } from '../../src/ingress/ingress.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { QUEUES, spool as spoolQueue } from '../../src/messaging/topology.ts';
import type { Transport } from '../../src/messaging/transport.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { openStore } from '../../src/processes/spool.ts';
import { Deployment, SECRET as DEPLOYMENT_SECRET } from '../support/deployment.ts';
import { probeDeliveries } from '../../src/write/delivery/probe-deliveries.ts';
import { eventually } from '../support/eventually.ts';
import {
  type PrivatePostgres,
  type PrivateRabbitmq,
  startPrivatePostgres,
  startPrivateRabbitmq,
} from '../support/private-servers.ts';
import { startProxy } from '../support/tcp-proxy.ts';
import { deliver as deliverAsGithub } from '../support/webhooks.ts';
import {
  type Answered,
  type TestIngress,
  planned,
  post,
  pullRequestBody,
  pullRequestPayload,
  startIngress,
} from './support/ingress.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

// Servers take some ten seconds to come back, on a busy machine more.
vi.setConfig({ testTimeout: 180_000 });

const PATIENCE_MS = 90_000;
const logger = pino({ level: 'silent' });

let postgres: PrivatePostgres;
let rabbitmq: PrivateRabbitmq;
let worker: WorkerFile;
let databaseUrl: string;
const toClose: (() => Promise<void>)[] = [];

beforeAll(async () => {
  [postgres, rabbitmq, worker] = await Promise.all([
    startPrivatePostgres(),
    startPrivateRabbitmq(),
    workerFile(),
  ]);
  databaseUrl = urlOf('migrated');
  await admin('create database migrated');
  await migrate(databaseUrl);
}, 180_000);

afterAll(async () => {
  await postgres?.close();
  await rabbitmq?.close();
  worker?.remove();
});

afterEach(async () => {
  await Promise.all([postgres.start(), rabbitmq.start()]);
  for (const close of toClose.splice(0).toReversed()) await close();
  // What is still there is meant for the database of the test that ends.
  const connection = await connect(rabbitmq.url);
  const channel = await connection.createChannel();
  for (const queue of [QUEUES.spool, QUEUES.dead]) await channel.purgeQueue(queue);
  await connection.close();
});

const urlOf = (name: string): string => {
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  return url.href;
};

async function admin(statement: string): Promise<void> {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(statement);
  await client.end();
}

async function ask<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text, [...values])).rows as Row[];
  } finally {
    await client.end();
  }
}

/** A database of its own, on the Postgres that the tests stop. */
async function freshDatabase(): Promise<void> {
  const name = `spool_${randomUUID().replaceAll('-', '')}`;
  await admin(`create database ${name} template migrated`);
  databaseUrl = urlOf(name);
}

async function rabbit(): Promise<Transport & { deadLetters: RabbitmqTransport['deadLetters'] }> {
  const transport = new RabbitmqTransport({ url: rabbitmq.url, name: 'test', logger });
  await transport.start();
  toClose.push(() => transport.close());
  return transport;
}

/** An ingress as the role runs it. */
async function ingressOn(
  transport: Transport | null,
  options: Partial<IngressOptions> = {},
): Promise<TestIngress & { stop: () => Promise<void> }> {
  const hints = new LocalLogHints();
  const { door, store, close } = await openStore({ databaseUrl, logger, hints, transport });
  const ingress = await startIngress({
    door,
    store,
    plan: () => [planned],
    workerUrl: worker.url,
    ...options,
  });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await ingress.close();
    await close();
  };
  toClose.push(stop);
  return { ...ingress, stop };
}

const deliver = (
  ingress: TestIngress,
  id: string = randomUUID(),
  body: string = pullRequestBody(),
): Promise<Answered> => post(ingress, body, { 'x-github-delivery': id });

type Job = { id: string; workflow: string };
const jobsOf = ({ body }: Answered): Job[] => body['jobs'] as Job[];

type Stored = { delivery_id: string; jobs: Job[]; received_at: Date; body: Buffer };

const stored = (): Promise<Stored[]> => ask<Stored>('select * from ingress.deliveries');

/** The deliveries of the log's jobs, in the log's order. */
const inOrder = async (): Promise<string[]> => {
  const rows = await ask<{ stream_id: string }>(
    `select stream_id from log.events where type = 'JobRequested' order by position`,
  );
  return rows.map(({ stream_id: id }) => id);
};

const soon = <T>(check: () => Promise<T> | T): Promise<T> =>
  eventually(check, { timeoutMs: PATIENCE_MS, everyMs: 100 });

/** Resolves when so many deliveries are stored. */
const storedAll = (count: number): Promise<Stored[]> =>
  soon(async () => {
    const rows = await stored();
    expect(rows).toHaveLength(count);
    return rows;
  });

/** Resolves when a delivery is stored without the spool again. */
const direct = (ingress: TestIngress, id?: string, body?: string): Promise<Answered> =>
  soon(async () => {
    const answer = await deliver(ingress, id, body);
    expect(answer.body).not.toHaveProperty('spooled');
    expect(answer.status).toBeLessThan(300);
    return answer;
  });

const isSpooled = (answer: Answered): void => {
  expect(answer).toMatchObject({ status: 202, body: { spooled: true, duplicate: false } });
};

/** Another session keeps a lock until it is let go. */
async function locked(statement: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('begin');
  await client.query(statement);
  const release = async (): Promise<void> => {
    await client.end();
  };
  onTestFinished(() => release().catch(() => undefined));
  return release;
}

/** Resolves when Postgres has somebody's delivery in hand. */
const someoneWaits = (): Promise<void> =>
  soon(async () => {
    const [waiting] = await ask<{ count: string }>(
      `select count(*) from pg_stat_activity where wait_event_type = 'Lock'`,
    );
    expect(Number(waiting?.count)).toBeGreaterThan(0);
  });

const timed = async <T>(work: Promise<T>): Promise<{ result: T; ms: number }> => {
  const startedAt = performance.now();
  const result = await work;
  return { result, ms: performance.now() - startedAt };
};

describe('while Postgres is away', () => {
  test('a delivery is answered 202 from the spool, with the ids of the jobs that it has when Postgres is back', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await postgres.stop();
    const before = Date.now();
    const id = randomUUID();
    const body = pullRequestBody();
    const answer = await deliver(ingress, id, body);
    const after = Date.now();
    isSpooled(answer);
    expect(answer.body['deliveryId']).toBe(id);
    expect(jobsOf(answer)).toHaveLength(1);
    expect(ingress.metrics.counted).toEqual(['github spooled']);

    await postgres.start();
    const [row] = await storedAll(1);
    expect(row?.jobs).toEqual(jobsOf(answer));
    expect(row?.body.toString()).toBe(body);
    expect(row?.received_at.getTime()).toBeGreaterThanOrEqual(before);
    expect(row?.received_at.getTime()).toBeLessThanOrEqual(after);
    expect(await inOrder()).toEqual(jobsOf(answer).map((job) => job.id));
  });

  test('what was sent before, during and after is one job, and other deliveries go direct again', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    const [id, body] = [randomUUID(), pullRequestBody()];
    const first = await direct(ingress, id, body);
    await postgres.kill();
    const during = await Promise.all([deliver(ingress, id, body), deliver(ingress, id, body)]);
    during.forEach(isSpooled);
    const under = await deliver(ingress, randomUUID(), body);
    isSpooled(under);

    await postgres.start();
    const last = await direct(ingress, id, body);
    expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
    expect(last).toMatchObject({ status: 200, body: { duplicate: true } });
    for (const answer of [...during, last]) expect(jobsOf(answer)).toEqual(jobsOf(first));
    expect(await stored()).toHaveLength(1);
    expect(await inOrder()).toEqual(jobsOf(first).map((job) => job.id));
  });

  test('requests that know it do not wait for Postgres', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    const release = await locked('select log.take_turn()');
    isSpooled(await deliver(ingress));
    const { result, ms } = await timed(Promise.all([1, 2, 3, 4, 5].map(() => deliver(ingress))));
    result.forEach(isSpooled);
    expect(ms).toBeLessThan(900);
    await release();
    await storedAll(6);
  });

  test('deliveries drain in the order of their answers, also those that come while it is drained', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await postgres.stop();
    const sent: string[] = [];
    const answers: Answered[] = [];
    const send = async (): Promise<void> => {
      const answer = await deliver(ingress);
      expect(answer.status).toBe(202);
      answers.push(answer);
      sent.push(...jobsOf(answer).map(({ id }) => id));
    };
    for (let count = 0; count < 150; count += 1) await send();
    expect(answers.every(({ body }) => body['spooled'] === true)).toBe(true);
    const starting = postgres.start();
    // One after the other through the drain, until Postgres takes them by itself.
    while (answers.at(-1)?.body['spooled'] === true) await send();
    await starting;
    for (let count = 0; count < 10; count += 1) await send();
    await storedAll(sent.length);
    expect(await inOrder()).toEqual(sent);
  });

  test('a delivery of 20 MiB is spooled and drained to the byte', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await postgres.stop();
    isSpooled(await deliver(ingress));
    // As little like itself as text can be: hexadecimal digits of random bytes.
    const body = pullRequestBody({ body: randomBytes(10 * 1024 * 1024).toString('hex') });
    const id = randomUUID();
    isSpooled(await deliver(ingress, id, body));
    await postgres.start();
    const rows = await storedAll(2);
    expect(rows.find((row) => row.delivery_id === id)?.body.equals(Buffer.from(body))).toBe(true);
  });

  test('a delivery that starts no job is answered 200 and stored later too', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit(), { plan: () => [] });
    await postgres.stop();
    const answer = await deliver(ingress);
    expect(answer).toMatchObject({ status: 200, body: { spooled: true, jobs: [] } });
    expect(answer.body).toHaveProperty('reason');
    await postgres.start();
    await storedAll(1);
  });

  test('what an ingress has left in the spool is drained by the next one, which starts without Postgres', async () => {
    await freshDatabase();
    const first = await ingressOn(await rabbit());
    await postgres.stop();
    const answers = [await deliver(first), await deliver(first)];
    await first.stop();
    const second = await ingressOn(await rabbit());
    const { result, ms } = await timed(deliver(second));
    expect(ms).toBeLessThan(900);
    answers.push(result);
    answers.forEach(isSpooled);
    await postgres.start();
    await storedAll(3);
    expect(await inOrder()).toEqual(
      answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id)),
    );
  });

  test('with two ingresses one of which ends in the middle, everything is stored once', async () => {
    await freshDatabase();
    const [one, other] = [await ingressOn(await rabbit()), await ingressOn(await rabbit())];
    await postgres.stop();
    const answers: Answered[] = [];
    for (let count = 0; count < 60; count += 1) {
      answers.push(await deliver(count % 2 === 0 ? one : other));
    }
    answers.forEach(isSpooled);
    await postgres.start();
    await one.stop();
    await storedAll(60);
    expect(await inOrder()).toEqual(
      answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id)),
    );
    await direct(other);
  });
});

describe('Postgres that goes again', () => {
  test('while the spool drains holds it up, and nothing is lost, doubled or out of order', async () => {
    await freshDatabase();
    const transport = await rabbit();
    const ingress = await ingressOn(transport);
    await postgres.stop();
    const answers: Answered[] = [];
    for (let count = 0; count < 200; count += 1) answers.push(await deliver(ingress));
    answers.forEach(isSpooled);
    await postgres.start();
    // In the middle of a wave: what is in hand has no turn when Postgres goes.
    await soon(async () => expect((await stored()).length).toBeGreaterThan(0));
    await locked('select log.take_turn()');
    await someoneWaits();
    await postgres.kill();
    // Longer than a wave may take, so that it fails.
    await sleep(12_000);
    await postgres.start();
    await storedAll(200);
    expect(await inOrder()).toEqual(
      answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id)),
    );
    expect(await transport.deadLetters(10)).toEqual([]);
    await direct(ingress);
  });
});

describe('Postgres that is slow', () => {
  test.each([
    ['whose log gives nobody a turn for 5 s', 'select log.take_turn()'],
    ['whose deliveries are locked for 5 s', 'lock table ingress.deliveries in exclusive mode'],
  ])('%s counts as away', async (_, statement) => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await direct(ingress);
    const release = await locked(statement);
    await expect(probeDeliveries(databaseUrl, 300)).rejects.toThrow(/timeout|did not answer/);
    const ended = sleep(5_000).then(release);
    const { result, ms } = await timed(deliver(ingress));
    isSpooled(result);
    expect(ms).toBeLessThan(2_500);
    await ended;
    await probeDeliveries(databaseUrl, 10_000);
    await storedAll(2);
  });
});

describe('a request in flight', () => {
  test('when Postgres is killed ends in the spool', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await direct(ingress);
    await locked('select log.take_turn()');
    // They are in the hands of Postgres when it goes.
    const sending = Array.from({ length: 20 }, () => deliver(ingress));
    await someoneWaits();
    await postgres.kill();
    const answers = await Promise.all(sending);
    answers.forEach(isSpooled);
    await postgres.start();
    await storedAll(21);
    const jobs = answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id));
    expect(new Set((await inOrder()).slice(1))).toEqual(new Set(jobs));
  });

  test('whose commit is lost on the way back is stored once', async () => {
    await freshDatabase();
    const server = new URL(databaseUrl);
    const proxy = await startProxy(Number(server.port));
    toClose.push(() => proxy.close());
    const around = databaseUrl;
    databaseUrl = proxy.urlOf(databaseUrl);
    const ingress = await ingressOn(await rabbit());
    databaseUrl = around;
    await direct(ingress);
    const release = await locked('select log.take_turn()');
    const sending = deliver(ingress);
    await someoneWaits();
    proxy.pause();
    // Postgres commits, and its answer does not come through.
    await release();
    const rows = await storedAll(2);
    const answer = await sending;
    isSpooled(answer);
    proxy.resume();
    await direct(ingress, randomUUID(), pullRequestBody());
    expect(await stored()).toHaveLength(3);
    expect(rows.map(({ jobs }) => jobs)).toContainEqual(jobsOf(answer));
    expect(await inOrder()).toHaveLength(3);
  });
});

describe('with RabbitMQ', () => {
  test('away as well, the answer is 503 with Retry-After within 2 s, however many wait', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await direct(ingress);
    await Promise.all([postgres.kill(), rabbitmq.kill()]);
    for (const count of [1, 200, 200]) {
      const answers = await Promise.all(Array.from({ length: count }, () => deliver(ingress)));
      for (const result of answers) {
        expect(result.status).toBe(503);
        expect(Number(result.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      // As the ingress sees it: so many senders in one process take longer by themselves. Only the first one waits.
      const slowest = Math.max(...ingress.metrics.seconds.slice(-count));
      expect(slowest).toBeLessThan(count === 1 ? 2 : 1.2);
    }
    await Promise.all([postgres.start(), rabbitmq.start()]);
    expect(await direct(ingress)).toMatchObject({ status: 202 });
  });

  test('away alone, deliveries go to Postgres', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await rabbitmq.kill();
    const answer = await deliver(ingress);
    expect(answer.status).toBe(202);
    expect(answer.body).not.toHaveProperty('spooled');
    expect(await stored()).toHaveLength(1);
  });

  test('killed after its confirm, a spooled delivery is still there when both are back', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await postgres.kill();
    const answers = await Promise.all(Array.from({ length: 20 }, () => deliver(ingress)));
    answers.forEach(isSpooled);
    await rabbitmq.kill();
    await rabbitmq.start();
    await postgres.start();
    await storedAll(20);
    const jobs = answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id));
    expect(new Set(await inOrder())).toEqual(new Set(jobs));
  });

  test('killed while the spool drains, nothing is lost or stored twice', async () => {
    await freshDatabase();
    const ingress = await ingressOn(await rabbit());
    await postgres.stop();
    const answers: Answered[] = [];
    for (let count = 0; count < 100; count += 1) answers.push(await deliver(ingress));
    answers.forEach(isSpooled);
    await postgres.start();
    await soon(async () => expect((await stored()).length).toBeGreaterThan(0));
    await rabbitmq.kill();
    await rabbitmq.start();
    await storedAll(100);
    expect(await inOrder()).toEqual(
      answers.flatMap((answer) => jobsOf(answer).map(({ id }) => id)),
    );
    expect((await stored()).length).toBe(100);
  });

  test('absent, or only within the process, nothing is spooled', async () => {
    await freshDatabase();
    const inProcess = new InProcessTransport({ logger });
    toClose.push(() => inProcess.close());
    const [none, within] = [await ingressOn(null), await ingressOn(inProcess)];
    await postgres.stop();
    for (const ingress of [none, within]) {
      const answer = await deliver(ingress);
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).not.toBeNull();
    }
    expect((await inProcess.queues()).every(({ ready }) => ready === 0)).toBe(true);
  });
});

describe('a spooled delivery that cannot be stored', () => {
  test('goes to the dead letters with the reason, and the next one is stored', async () => {
    await freshDatabase();
    const transport = await rabbit();
    const ingress = await ingressOn(transport);
    const id = randomUUID();
    await direct(ingress, id, pullRequestBody());
    await postgres.stop();
    const conflict = await deliver(ingress, id, pullRequestBody());
    isSpooled(conflict);
    await transport.publish({ ...spoolQueue, messageId: 'no', raw: Buffer.from('no') });
    await transport.publish({ ...spoolQueue, messageId: 'json', body: { no: 'raw' } });
    isSpooled(await deliver(ingress));
    await postgres.start();
    await storedAll(2);
    await soon(async () => expect(await transport.deadLetters(10)).toHaveLength(3));
    const letters = await transport.deadLetters(10);
    expect(letters.map(({ reason }) => reason).toSorted()).toEqual([
      'A spooled delivery cannot be decompressed',
      'A spooled delivery cannot be decompressed',
      `The delivery id "${id}" of "github" was used by another body`,
    ]);
    await direct(ingress);
  });
});

describe('the role', () => {
  test('starts, is ready and takes webhooks without Postgres, and stores them when it comes', async () => {
    await freshDatabase();
    await postgres.stop();
    const deployment = await Deployment.open({ databaseUrl, rabbitmqUrl: rabbitmq.url });
    toClose.push(() => deployment.close());
    const role = deployment.start('ingress');
    const { port: adminPort } = await role.logged('health and metrics are served');
    const { port } = await role.logged('takes webhooks');
    const ready = await fetch(`http://127.0.0.1:${String(adminPort)}/readyz`);
    expect(ready.status).toBe(200);
    const pullRequest = pullRequestPayload();
    const answer = await deliverAsGithub(`http://127.0.0.1:${String(port)}`, pullRequest, {
      event: 'pull_request',
      secret: DEPLOYMENT_SECRET,
    });
    expect(answer.status).toBe(202);
    const { spooled, jobs } = (await answer.json()) as { spooled: boolean; jobs: Job[] };
    expect(spooled).toBe(true);

    await postgres.start();
    const [row] = await storedAll(1);
    expect(row?.jobs).toEqual(jobs);
    const metrics = await fetch(`http://127.0.0.1:${String(adminPort)}/metrics`);
    expect(await metrics.text()).toContain(
      'jobledger_deliveries_total{source="github",outcome="spooled"} 1',
    );
    await rabbitmq.stop();
    await soon(async () => {
      const answered = await fetch(`http://127.0.0.1:${String(adminPort)}/readyz`);
      expect(await answered.json()).toMatchObject({ ready: true });
    });
    expect(await role.stop()).toBe(0);
  });
});
