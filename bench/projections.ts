import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Database } from '../src/platform/database.ts';
import { createLogger } from '../src/platform/logger.ts';
import { PROJECTIONS } from '../src/projections/catalog.ts';
import { type LiveOptions, LiveProjections } from '../src/projections/live.ts';
import { Projector } from '../src/projections/projector.ts';
import { type Benchmark, type Measured, median, quantile } from './benchmark.ts';
import { PEERS, installPeers } from './peers.ts';
import { lagsOf } from './projections/lag.ts';
import { generateLog } from './projections/log.ts';
import { type Rebuilt, rebuildJobs } from './projections/rebuild-process.ts';
import { JobWriter } from './read/job-writer.ts';

const EVENTS = Number(process.env['BENCH_EVENTS'] ?? 200_000);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
/** Fewer, as its reading of a page takes longer the more there are. */
const EVENTS_OF_EMMETT = Math.min(EVENTS, 10_000);
const EVENTS_LIVE = 50_000;
const PER_SECOND = 2_000;
const SECONDS = 10;

type Emmett = Readonly<{ projector: number; rebuild: number }>;

/** What the read models cost: how fast they are rebuilt, beside emmett's, and how far they are behind under appends. */
export const projectionsBenchmark: Benchmark = {
  name: 'projections',
  async run(context) {
    const { createDatabase, progress } = context;
    await installPeers(context);
    const databaseUrl = await createDatabase();
    progress(`projections: makes ${EVENTS.toLocaleString('en')} events`);
    await withWriter(databaseUrl, ({ database }) => generateLog(database, EVENTS));
    const raced = await race(databaseUrl, progress);
    return [...raced, ...(await withWriter(await createDatabase(), followed))];
  },
};

type Parts = ConstructorParameters<typeof Projector>[0] & LiveOptions;
type Bench = Parts & Readonly<{ writer: JobWriter }>;

async function withWriter<T>(databaseUrl: string, work: (bench: Bench) => Promise<T>): Promise<T> {
  const logger = createLogger('error', 'bench');
  const database = new Database(databaseUrl, { max: 6, applicationName: 'bench', logger });
  const writer = new JobWriter(databaseUrl);
  const { store, hints } = writer;
  const parts = { database, databaseUrl, store, hints, logger, projections: PROJECTIONS };
  try {
    return await work({ ...parts, writer });
  } finally {
    await writer.close();
    await database.close();
  }
}

async function followed(bench: Bench): Promise<readonly Measured[]> {
  await generateLog(bench.database, EVENTS_LIVE);
  const live = await catchUp(new LiveProjections(bench));
  return [
    { what: 'both read models, live, catching up by pages', value: live, unit: 'events/s' },
    ...(await measureLag(bench)),
  ];
}

/** In turns, so that whatever else the machine does hits both. */
async function race(
  databaseUrl: string,
  progress: (line: string) => void,
): Promise<readonly Measured[]> {
  const ours: Rebuilt[] = [];
  const theirs: Emmett[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const rebuilt = await rebuildJobs(databaseUrl);
    ours.push(rebuilt);
    progress(
      `projections: jobs rebuilt at ${rebuilt.perSecond.toFixed(0)} events/s, ${rebuilt.megabytes.toFixed(0)} MB`,
    );
    const emmett = await emmettOf(databaseUrl);
    theirs.push(emmett);
    progress(
      `projections: emmett: ${emmett.projector.toFixed(0)} events/s, rebuild ${emmett.rebuild.toFixed(0)} events/s`,
    );
  }
  const against = (peer: keyof Emmett): number =>
    median(ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.[peer] ?? Number.NaN)));
  const what = `jobledger projections rebuild jobs, ${EVENTS.toLocaleString('en')} events`;
  const [projector, rebuild] = ["emmett's projector", "emmett's rebuild"];
  return [
    { what, value: median(ours.map(({ perSecond }) => perSecond)), unit: 'events/s' },
    {
      what: `${what}: with its start, indexes and swap`,
      value: median(ours.map(({ perSecondInAll }) => perSecondInAll)),
      unit: 'events/s',
    },
    {
      what: `${what}: memory at most`,
      value: Math.max(...ours.map(({ megabytes }) => megabytes)),
      unit: 'MB',
    },
    { what: projector, value: median(theirs.map((one) => one.projector)), unit: 'events/s' },
    { what: rebuild, value: median(theirs.map((one) => one.rebuild)), unit: 'events/s' },
    { what: `ours against ${projector}`, value: against('projector'), unit: 'times' },
    { what: `ours against ${rebuild}`, value: against('rebuild'), unit: 'times' },
  ];
}

async function emmettOf(databaseUrl: string): Promise<Emmett> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['emmett.mjs', databaseUrl, String(EVENTS_OF_EMMETT)],
    { cwd: PEERS, timeout: 180_000 },
  );
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Emmett;
}

async function catchUp(live: LiveProjections): Promise<number> {
  const began = performance.now();
  while (await live.round());
  const taken = live.taken.get('jobs') ?? 0;
  return (taken * 1_000) / (performance.now() - began);
}

/** While other jobs are written to at a steady rate. */
async function measureLag(bench: Bench): Promise<readonly Measured[]> {
  const stop = new AbortController();
  const projecting = new Projector(bench).run(stop.signal);
  await bench.writer.request(1_000);
  await lagsOf(bench, { perSecond: PER_SECOND, seconds: 2 });
  const lags = await lagsOf(bench, { perSecond: PER_SECOND, seconds: SECONDS });
  stop.abort();
  await projecting;
  const what = `${PER_SECOND.toLocaleString('en')} events/s, from before the append to the row`;
  return [
    { what: `${what}: p50`, value: quantile(lags, 0.5), unit: 'ms' },
    { what: `${what}: p99`, value: quantile(lags, 0.99), unit: 'ms' },
    { what: `${what}: the slowest`, value: quantile(lags, 1), unit: 'ms' },
  ];
}
