import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import type { Benchmark, Measured } from './benchmark.ts';
import { cutFollowers } from './read/cut-followers.ts';
import { JobWriter } from './read/job-writer.ts';
import type { SubscribersOrder, SubscribersReport } from './read/subscribers.ts';
import { type Target, cpuSeconds, residentMegabytes, startRole, stop } from './roles.ts';

const CLIENTS = Number(process.env['BENCH_CLIENTS'] ?? 5_000);
const WARM_UP = 200;
const PROCESSES = 2;
const PER_SECOND = 1_000;
const SECONDS = 10;

const beside = (name: string): string => new URL(`./read/${name}.js`, import.meta.url).pathname;

/** Thousands of WebSocket clients, each with one job, on one API process of the built program. */
export const liveBenchmark: Benchmark = {
  name: 'live',
  async run({ createDatabase, rabbitmqUrl, progress }) {
    const databaseUrl = await createDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'jobledger-bench-'));
    const delayFile = join(folder, 'loop-delay');
    const api = await startRole('api', folder, {
      DATABASE_URL: databaseUrl,
      RABBITMQ_URL: await rabbitmqUrl(),
      NODE_OPTIONS: `--import=${beside('loop-delay')}`,
      BENCH_LOOP_DELAY: delayFile,
    });
    const writer = new JobWriter(databaseUrl);
    const subscribers = Array.from({ length: PROCESSES }, () => fork(beside('subscribers')));
    const bench = { api, writer, subscribers, progress, loop: () => loopDelay(api, delayFile) };
    try {
      await writer.request(CLIENTS + WARM_UP);
      const opened = await openAll(bench);
      const updated = await updateAll(bench);
      return [...opened, ...updated, ...(await cutSome(bench))];
    } finally {
      for (const child of subscribers) child.kill();
      await writer.close();
      await stop(api);
      await rm(folder, { recursive: true });
    }
  },
};

type Bench = Readonly<{
  api: Target;
  writer: JobWriter;
  subscribers: readonly ChildProcess[];
  progress: (line: string) => void;
  loop: () => Promise<LoopDelay>;
}>;

/** What a few clients make the process load and compile is not theirs alone, so they come before it is weighed. */
async function openAll({
  api,
  writer,
  subscribers,
  progress,
  loop,
}: Bench): Promise<readonly Measured[]> {
  const { jobIds } = writer;
  const open = (child: ChildProcess, from: number, to: number): Promise<SubscribersReport> =>
    ask(child, { do: 'open', port: api.port, firstAddress: from, jobIds: jobIds.slice(from, to) });
  const [first] = subscribers;
  if (first) await open(first, 0, WARM_UP);
  await setTimeout(2_000);
  const before = residentMegabytes(api);
  await loop();
  const began = performance.now();
  const share = CLIENTS / subscribers.length;
  await Promise.all(
    subscribers.map((child, index) =>
      open(child, WARM_UP + index * share, WARM_UP + (index + 1) * share),
    ),
  );
  const seconds = (performance.now() - began) / 1_000;
  const { max } = await loop();
  await setTimeout(5_000);
  const kilobytes = ((residentMegabytes(api) - before) * 1_000) / CLIENTS;
  progress(
    `live: ${String(CLIENTS)} clients in ${seconds.toFixed(1)} s, ${kilobytes.toFixed(1)} KB each, the loop blocked for at most ${max.toFixed(0)} ms`,
  );
  return [
    {
      what: `${CLIENTS.toLocaleString('en')} clients that come at once are served`,
      value: seconds,
      unit: 's',
    },
    { what: 'the event loop meanwhile, blocked at most', value: max, unit: 'ms' },
    { what: 'memory of the API for each client', value: kilobytes, unit: 'KB' },
    { what: 'memory of the API with all of them', value: residentMegabytes(api), unit: 'MB' },
  ];
}

async function updateAll({
  api,
  writer,
  subscribers,
  progress,
  loop,
}: Bench): Promise<readonly Measured[]> {
  await writer.update({ perSecond: PER_SECOND, seconds: 2 });
  await settled(subscribers);
  await loop();
  const before = cpuSeconds(api);
  const sent = await writer.update({ perSecond: PER_SECOND, seconds: SECONDS });
  const reports = await settled(subscribers);
  const { p99: blockedP99, max: blocked } = await loop();
  const received = reports.reduce((sum, report) => sum + report.received, 0);
  const lost = reports.reduce((sum, report) => sum + report.lost, 0);
  if (received !== sent || lost > 0) {
    throw new Error(
      `${String(received)} of ${String(sent)} updates came, ${String(lost)} sockets closed`,
    );
  }
  const most = (of: (report: SubscribersReport) => number): number => Math.max(...reports.map(of));
  const [p50, p99, max] = [most((r) => r.p50), most((r) => r.p99), most((r) => r.max)];
  progress(
    `live: p50 ${String(p50)} ms, p99 ${String(p99)} ms, blocked at most ${blocked.toFixed(0)} ms`,
  );
  const what = `${PER_SECOND.toLocaleString('en')} updates/s, from before the append to the client`;
  return [
    { what: `${what}: p50`, value: p50, unit: 'ms' },
    { what: `${what}: p99`, value: p99, unit: 'ms' },
    { what: `${what}: the slowest of ${sent.toLocaleString('en')}`, value: max, unit: 'ms' },
    { what: 'CPU of the API', value: ((cpuSeconds(api) - before) * 1e6) / sent, unit: 'µs/update' },
    { what: 'the event loop, blocked: p99', value: blockedP99, unit: 'ms' },
    { what: 'the event loop, blocked at most', value: blocked, unit: 'ms' },
  ];
}

async function cutSome({ api, writer, progress }: Bench): Promise<readonly Measured[]> {
  const { cuts, events, missed, repeated } = await cutFollowers(api.port, {
    head: () => writer.store.head(),
    write: (seconds) => writer.update({ perSecond: 200, seconds }),
  });
  progress(
    `live: ${String(cuts)} sockets cut: ${String(missed)} events missed, ${String(repeated)} repeated`,
  );
  return [
    {
      what: `sockets of 20 followers cut while ${events.toLocaleString('en')} events were written`,
      value: cuts,
      unit: '',
    },
    { what: 'events that they missed', value: missed, unit: '' },
    { what: 'events that they had twice', value: repeated, unit: '' },
  ];
}

async function ask(child: ChildProcess, order: SubscribersOrder): Promise<SubscribersReport> {
  child.send(order);
  const [report] = (await once(child, 'message')) as [SubscribersReport];
  return report;
}

/** What has come when nothing more is on its way. */
async function settled(
  subscribers: readonly ChildProcess[],
): Promise<readonly SubscribersReport[]> {
  await setTimeout(2_000);
  return Promise.all(subscribers.map((child) => ask(child, { do: 'report' })));
}

type LoopDelay = Readonly<{ p99: number; max: number }>;

/** Since the last call. */
async function loopDelay({ child }: Target, file: string): Promise<LoopDelay> {
  rmSync(file, { force: true });
  child.kill('SIGUSR2');
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await setTimeout(5);
  return JSON.parse(readFileSync(file, 'utf8')) as LoopDelay;
}
