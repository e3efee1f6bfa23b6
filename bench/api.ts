import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Database } from '../src/platform/database.ts';
import { createLogger } from '../src/platform/logger.ts';
import { showManyJobs } from '../test/read/many-jobs.ts';
import { type Benchmark, type Measured, median } from './benchmark.ts';
import type { PostOrder, PostResult } from './read/post-load.ts';
import { type Env, type Target, cpuSeconds, residentMegabytes, startRole, stop } from './roles.ts';

const JOBS = Number(process.env['BENCH_JOBS'] ?? 1_000_000);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
const REQUESTS = 4_000;
const CONNECTIONS = 32;

/** What the dashboard asks for. */
const QUERY = `query ($first: Int) {
  jobs(first: $first) {
    nodes {
      id workflow status requestedAt startedAt finishedAt
      trigger { repository { fullName } pullRequest { number title } ref headSha sender }
    }
    pageInfo { hasNextPage endCursor }
  }
}`;

const BODY = JSON.stringify({ query: QUERY, variables: { first: 20 } });

type Load = PostResult & Readonly<{ cpuMicros: number }>;
type Name = 'api' | 'bare';

/** The newest jobs of a million, from the API as a process of the built program, beside one that serves this alone. */
export const apiBenchmark: Benchmark = {
  name: 'api',
  async run({ createDatabase, rabbitmqUrl, progress }) {
    const databaseUrl = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'jobledger-bench-'));
    await fill(databaseUrl, progress);
    const env = { DATABASE_URL: databaseUrl, RABBITMQ_URL: await rabbitmqUrl() };
    const targets = { api: await startRole('api', folder, env), bare: await startBare(env) };
    try {
      await assertSame(targets);
      return await compare(targets, progress);
    } finally {
      for (const target of Object.values(targets)) await stop(target);
      await rm(folder, { recursive: true });
    }
  },
};

async function fill(databaseUrl: string, progress: (line: string) => void): Promise<void> {
  progress(`api: makes ${JOBS.toLocaleString('en')} jobs`);
  const logger = createLogger('warn', 'bench');
  const database = new Database(databaseUrl, { max: 1, applicationName: 'bench', logger });
  await showManyJobs(database, JOBS, view);
  await database.close();
}

/** A view as `code-review` leaves it, some 1.3 KB. */
const view = (i: string): string => `
  json_build_object(
    'id', md5(${i}::text)::uuid, 'workflow', 'code-review', 'status', 'COMPLETED', 'input', null,
    'trigger', json_build_object(
      'provider', 'github', 'source', 'github', 'deliveryId', md5('delivery' || ${i})::uuid,
      'event', 'pull_request', 'action', 'synchronize', 'ref', 'feature/' || ${i},
      'headSha', md5('sha' || ${i}) || '00000000', 'baseSha', md5('base') || '00000000', 'sender', 'octocat-' || ${i} % 5000,
      'repository', json_build_object('fullName', repository, 'url', 'https://git.example/' || repository,
        'cloneUrl', 'https://git.example/' || repository || '.git'),
      'pullRequest', json_build_object('number', ${i} % 300, 'title', 'Make part ' || ${i} || ' faster',
        'url', 'https://git.example/' || repository || '/pull/' || ${i} % 300, 'headRepository', repository,
        'baseBranch', 'main', 'baseSha', md5('base') || '00000000')),
    'concurrencyKey', 'github/' || repository || '#' || ${i} % 300, 'priority', 5, 'attempt', 1, 'maxAttempts', 3,
    'requestedAt', to_char(requested_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'startedAt', to_char(requested_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'finishedAt', to_char((requested_at + duration) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'updatedAt', to_char((requested_at + duration) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'waitingFor', null, 'nextAttemptAt', null, 'error', null, 'result', json_build_object('findings', 3),
    'supersededBy', null, 'workerId', null, 'correlationId', md5(${i}::text)::uuid, 'deliveryId', null,
    'version', 5, 'position', (${i} * 5)::text, 'steps', json_build_array())`;

async function startBare(env: Env): Promise<Target> {
  const began = performance.now();
  const child = fork(new URL('./read/bare.js', import.meta.url).pathname, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port, startMs: performance.now() - began };
}

type Targets = Readonly<Record<Name, Target>>;

/** A peer that says less would not be one. */
async function assertSame({ api, bare }: Targets): Promise<void> {
  const [ours, theirs] = await Promise.all(
    [api, bare].map(async ({ port }) => {
      const answer = await fetch(`http://127.0.0.1:${String(port)}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: BODY,
      });
      return answer.text();
    }),
  );
  if (ours !== theirs) throw new Error(`The answers differ:\n${String(ours)}\n${String(theirs)}`);
}

/** In turns, so that whatever else the machine does hits both. */
async function compare(
  targets: Targets,
  progress: (line: string) => void,
): Promise<readonly Measured[]> {
  const results: Record<Name, Load[]> = { api: [], bare: [] };
  for (const target of Object.values(targets)) await load(target, 4_000);
  for (let round = 1; round <= ROUNDS; round++) {
    for (const name of ['api', 'bare'] as const) {
      const one = await load(targets[name], REQUESTS);
      results[name].push(one);
      progress(
        `api: ${name}: ${one.perSecond.toFixed(0)}/s, p50 ${one.p50.toFixed(1)} ms, p99 ${one.p99.toFixed(1)} ms, ${one.cpuMicros.toFixed(0)} µs CPU`,
      );
    }
  }
  const ratios = results.api.map(
    ({ perSecond }, round) => perSecond / (results.bare[round]?.perSecond ?? Number.NaN),
  );
  return [
    ...rows(
      `the API, jobs(first: 20) of ${JOBS.toLocaleString('en')}, 32 connections`,
      results.api,
    ),
    ...rows('a Fastify handler with the same SQL and answer', results.bare),
    { what: 'the API against the handler', value: median(ratios), unit: 'times' },
    { what: 'memory of the API after this', value: residentMegabytes(targets.api), unit: 'MB' },
  ];
}

async function load(target: Target, requests: number): Promise<Load> {
  const before = cpuSeconds(target);
  const child = fork(new URL('./read/post-load.js', import.meta.url).pathname, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({
    port: target.port,
    path: '/graphql',
    body: BODY,
    connections: CONNECTIONS,
    requests,
  } satisfies PostOrder);
  const [result] = (await once(child, 'message')) as [PostResult];
  child.kill();
  if (result.failed > 0) throw new Error(`${String(result.failed)} requests failed`);
  return { ...result, cpuMicros: ((cpuSeconds(target) - before) * 1e6) / requests };
}

const rows = (what: string, results: readonly Load[]): readonly Measured[] => [
  { what, value: median(results.map(({ perSecond }) => perSecond)), unit: 'requests/s' },
  { what: `${what}: p50`, value: median(results.map(({ p50 }) => p50)), unit: 'ms' },
  { what: `${what}: p99`, value: median(results.map(({ p99 }) => p99)), unit: 'ms' },
  {
    what: `${what}: CPU of its process`,
    value: median(results.map(({ cpuMicros }) => cpuMicros)),
    unit: 'µs/request',
  },
];
