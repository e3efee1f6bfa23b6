import { randomUUID } from 'node:crypto';

import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';

import type { IngressOptions } from '../../src/ingress/ingress.module.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { spool as spoolQueue } from '../../src/messaging/topology.ts';
import type { Transport } from '../../src/messaging/transport.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { openStore } from '../../src/processes/spool.ts';
import { eventually } from '../support/eventually.ts';
import {
  type PrivatePostgres,
  type PrivateRabbitmq,
  startPrivatePostgres,
  startPrivateRabbitmq,
} from '../support/private-servers.ts';
import {
  type Answered,
  type TestIngress,
  planned,
  post,
  pullRequestBody,
  startIngress,
} from './support/ingress.ts';
import { type WorkerFile, workerFile } from './support/worker-file.ts';

// Servers take some ten seconds to come back, on a busy machine more.
vi.setConfig({ testTimeout: 180_000 });

const PATIENCE_MS = 90_000;
const logger = pino({ level: process.env['SPOOL_LOG'] ?? 'silent' });

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

const timed = async <T>(work: Promise<T>): Promise<{ result: T; ms: number }> => {
  const startedAt = performance.now();
  const result = await work;
  return { result, ms: performance.now() - startedAt };
};

describe('with Postgres stopped', () => {
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
});
