import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { type Benchmark, type Context, type Measured, median } from './benchmark.ts';
import { PEERS, installPeers } from './peers.ts';

const ROUNDS = 3;

type Contender = 'jobledger' | 'graphile-worker' | 'pg-boss' | 'dbos';
type Kind = 'noop' | 'two-steps';
type Result = Readonly<{ perSecond: number; cpuMicros: number }>;

/** Each is one process, the same server and settings, 32 callers; the rounds of all take turns. */
const RACES: readonly Readonly<{ kind: Kind; what: string; jobs: Record<string, number> }>[] = [
  {
    kind: 'noop',
    what: 'no-op jobs, requested by 32 callers to all completed',
    jobs: { jobledger: 5_000, 'graphile-worker': 5_000, 'pg-boss': 5_000 },
  },
  {
    kind: 'two-steps',
    what: 'workflows of two steps, 32 at a time',
    jobs: { jobledger: 4_000, dbos: 1_500 },
  },
];

/** The engine beside others that run on Postgres alone, so with the transport within the process. */
export const engineBenchmark: Benchmark = {
  name: 'engine',
  async run(context) {
    await installPeers(context);
    const measured: Measured[] = [];
    for (const race of RACES) measured.push(...(await run(race, context)));
    return measured;
  },
};

async function run(
  { kind, what, jobs }: (typeof RACES)[number],
  { createDatabase, progress }: Context,
): Promise<readonly Measured[]> {
  const results = new Map<string, Result[]>(Object.keys(jobs).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, own] of results) {
      const result = await contend(name as Contender, {
        kind,
        count: jobs[name] ?? 0,
        databaseUrl: await createDatabase(),
      });
      own.push(result);
      progress(`engine: ${name} ${kind} ${result.perSecond.toFixed(0)}/s`);
    }
  }
  return [...results].flatMap(([name, own]) => rows(`${name}: ${what}`, own, results));
}

async function contend(
  name: Contender,
  { kind, count, databaseUrl }: Readonly<{ kind: Kind; count: number; databaseUrl: string }>,
): Promise<Result> {
  const args = ['contend.mjs', name, kind, databaseUrl, String(count)];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: PEERS,
    timeout: 180_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
}

function rows(
  what: string,
  own: readonly Result[],
  all: ReadonlyMap<string, readonly Result[]>,
): readonly Measured[] {
  const rates = own.map(({ perSecond }) => perSecond);
  const measured: Measured[] = [
    { what, value: median(rates), unit: '/s' },
    {
      what: `${what}, CPU of its Node process`,
      value: median(own.map(({ cpuMicros }) => cpuMicros)),
      unit: 'µs',
    },
  ];
  if (!what.startsWith('jobledger')) return measured;
  // Ratios within a round, as the machine is not the same in the next one.
  const ratios = [...all]
    .filter(([name]) => name !== 'jobledger')
    .map(([name, peer]) => ({
      what: `jobledger against ${name}`,
      value: median(rates.map((rate, round) => rate / (peer[round]?.perSecond ?? Number.NaN))),
      unit: '',
    }));
  return [...measured, ...ratios];
}
