import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { Database } from '../src/platform/database.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { type Benchmark, type Measured, median } from './benchmark.ts';
import type { LoadOrder, LoadResult } from './ingress/load.ts';
import { load, startPeer } from './ingress/processes.ts';
import { type Target, cpuSeconds, residentMegabytes, startRole, stop } from './roles.ts';

const SECRET = 'a-secret-of-the-benchmark';
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const DELIVERIES = 6_000;
const CONNECTIONS = 32;
const PEERS = ['fastify', 'nest'] as const;

type Peer = (typeof PEERS)[number];
type Load = Readonly<{ perSecond: number; cpuMicros: number }>;

/** The front door as a process of the built program, beside two minimal ones, on one Postgres. */
export const ingressBenchmark: Benchmark = {
  name: 'ingress',
  async run({ createDatabase, rabbitmqUrl, progress }) {
    const databaseUrl = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'jobledger-bench-'));
    const database = new Database(databaseUrl, {
      max: 1,
      applicationName: 'bench',
      logger: createLogger('warn', 'bench'),
    });
    const env = {
      DATABASE_URL: databaseUrl,
      RABBITMQ_URL: await rabbitmqUrl(),
      GITHUB_WEBHOOK_SECRET: SECRET,
    };
    await database.query(sql`create table bench_peer (id uuid primary key, body text not null)`);
    const ingress = await startRole('ingress', folder, env);
    try {
      const idle = await atRest(ingress, database);
      const speed = await compare(ingress, { database, databaseUrl, progress });
      return [...idle, ...speed, ...(await underLoad(ingress, { database, progress }))];
    } finally {
      await stop(ingress);
      await database.close();
      await rm(folder, { recursive: true });
    }
  },
};

async function atRest(ingress: Target, database: Database): Promise<readonly Measured[]> {
  await setTimeout(2_000);
  return [
    { what: 'from the start of the process to listening', value: ingress.startMs, unit: 'ms' },
    { what: 'memory at rest, with a spool', value: residentMegabytes(ingress), unit: 'MB' },
    { what: 'connections at rest', value: await connections(database), unit: '' },
  ];
}

async function connections(database: Database): Promise<number> {
  const [row] = await database.query<{ count: number }>(sql`
    select count(*)::int as count from pg_stat_activity
    where application_name like 'jobledger%' and application_name <> 'jobledger bench'`);
  return row?.count ?? Number.NaN;
}

type Bench = Readonly<{ database: Database; progress: (line: string) => void }>;

const signed = ({ port }: Target, requests: number): LoadOrder => ({
  port,
  path: '/webhooks/github',
  secret: SECRET,
  kind: 'pull-request',
  connections: CONNECTIONS,
  requests,
  perSecond: null,
});

/** In turns, so that whatever else the machine does hits all of them. */
async function compare(
  ingress: Target,
  { database, databaseUrl, progress }: Bench & Readonly<{ databaseUrl: string }>,
): Promise<readonly Measured[]> {
  const env = { DATABASE_URL: databaseUrl, SECRET };
  const peers = { fastify: await startPeer('fastify', env), nest: await startPeer('nest', env) };
  const targets = { ingress, ...peers };
  const results: Record<Peer | 'ingress', Load[]> = { ingress: [], fastify: [], nest: [] };
  try {
    for (const target of Object.values(targets)) await load(signed(target, 2_000));
    for (let round = 1; round <= ROUNDS; round++) {
      for (const name of ['ingress', ...PEERS] as const) {
        await database.query(sql`checkpoint`);
        const one = await measure(targets[name]);
        results[name].push(one);
        progress(
          `ingress: ${name}: ${one.perSecond.toFixed(0)}/s, ${one.cpuMicros.toFixed(0)} µs CPU`,
        );
      }
    }
  } finally {
    for (const peer of Object.values(peers)) await stop(peer);
  }
  return comparison(results);
}

async function measure(target: Target): Promise<Load> {
  const before = cpuSeconds(target);
  const result = await load(signed(target, DELIVERIES));
  assertAll(result, '202');
  return {
    perSecond: DELIVERIES / result.seconds,
    cpuMicros: ((cpuSeconds(target) - before) * 1e6) / DELIVERIES,
  };
}

function assertAll({ statuses }: LoadResult, ...wanted: readonly string[]): void {
  if (Object.keys(statuses).every((status) => wanted.includes(status))) return;
  throw new Error(`Answers other than ${wanted.join(' and ')}: ${JSON.stringify(statuses)}`);
}

function comparison(results: Readonly<Record<Peer | 'ingress', readonly Load[]>>): Measured[] {
  const names = {
    ingress: 'the ingress, 10 KB pull requests that request a job, 32 connections',
    fastify: 'Fastify, HMAC and one INSERT',
    nest: 'Nest on Fastify, HMAC and one INSERT',
  };
  const rates = (name: Peer | 'ingress'): readonly number[] =>
    results[name].map(({ perSecond }) => perSecond);
  const ratio = (peer: Peer): number =>
    median(rates('ingress').map((rate, round) => rate / (rates(peer)[round] ?? Number.NaN)));
  return [
    ...(['ingress', ...PEERS] as const).flatMap((name) => [
      { what: names[name], value: median(rates(name)), unit: 'deliveries/s' },
      {
        what: `${names[name]}: CPU of its process`,
        value: median(results[name].map(({ cpuMicros }) => cpuMicros)),
        unit: 'µs/delivery',
      },
    ]),
    { what: 'the ingress against Fastify', value: ratio('fastify'), unit: 'times' },
    { what: 'the ingress against Nest on Fastify', value: ratio('nest'), unit: 'times' },
  ];
}

async function underLoad(
  ingress: Target,
  { database, progress }: Bench,
): Promise<readonly Measured[]> {
  const steady = await load({ ...signed(ingress, 5_000), perSecond: 1_000 });
  assertAll(steady, '202');
  progress(`ingress: 1,000/s: p99 ${steady.p99.toFixed(1)} ms`);
  const [beside] = await Promise.all([
    load({ ...signed(ingress, 600), connections: 8, perSecond: 100 }),
    load({ ...signed(ingress, 3), kind: 'large-push', connections: 1 }),
  ]);
  assertAll(beside, '202');
  progress(`ingress: beside pushes of 25 MiB: at most ${beside.max.toFixed(1)} ms`);
  const queries = await transactions(database);
  const flood = { ...signed(ingress, 20_000), perSecond: 5_000, connections: 64 };
  const unsigned = await load({ ...flood, kind: 'unsigned' });
  const wrong = await load({ ...flood, kind: 'wrongly-signed' });
  assertAll(unsigned, '401', '429');
  assertAll(wrong, '401', '429');
  // One of them is the question itself.
  const asked = (await transactions(database)) - queries - 1;
  const [authentic, sent] = await Promise.all([
    load({ ...signed(ingress, 300), connections: 8, perSecond: 100 }),
    load({ ...flood, kind: 'wrongly-signed' }),
  ]);
  assertAll(authentic, '202');
  progress(`ingress: beside a flood: p99 ${authentic.p99.toFixed(1)} ms`);
  return [
    { what: 'p50 at 1,000 deliveries/s', value: steady.p50, unit: 'ms' },
    { what: 'p99 at 1,000 deliveries/s', value: steady.p99, unit: 'ms' },
    { what: 'the slowest while pushes of 25 MiB are taken', value: beside.max, unit: 'ms' },
    { what: 'requests without a signature', value: 20_000 / unsigned.seconds, unit: '/s' },
    { what: 'requests with a wrong signature', value: 20_000 / wrong.seconds, unit: '/s' },
    { what: 'transactions that these 40,000 caused', value: asked, unit: '' },
    {
      what: `p99 of 100 authentic a second beside ${(20_000 / sent.seconds).toFixed(0)} that are not`,
      value: authentic.p99,
      unit: 'ms',
    },
    { what: 'connections after all this', value: await connections(database), unit: '' },
    { what: 'memory after all this', value: residentMegabytes(ingress), unit: 'MB' },
  ];
}

async function transactions(database: Database): Promise<number> {
  const [row] = await database.query<{ count: number }>(sql`
    select (xact_commit + xact_rollback)::int as count from pg_stat_database
    where datname = current_database()`);
  return row?.count ?? Number.NaN;
}
