import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { DispatchCounts } from '../src/dispatch/dispatch-counts.ts';
import { Dispatcher } from '../src/dispatch/dispatcher.ts';
import { Turns, readNextHints } from '../src/dispatch/hint-sql.ts';
import { HintWindow } from '../src/dispatch/hint-window.ts';
import { JobHints } from '../src/dispatch/job-hints.ts';
import { SignalMatching } from '../src/dispatch/signal-matching.ts';
import { Timers } from '../src/dispatch/timers.ts';
import { findWaiting } from '../src/dispatch/waiting-jobs.ts';
import { readCheckpoint } from '../src/event-store/checkpoint.ts';
import { LocalLogHints } from '../src/event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../src/event-store/postgres-event-store.ts';
import type { JobEvent, JobRequest } from '../src/events/job.ts';
import { InProcessTransport } from '../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../src/messaging/rabbitmq-transport.ts';
import type { Transport } from '../src/messaging/transport.ts';
import { Database } from '../src/platform/database.ts';
import { newId } from '../src/platform/ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { openDoor } from '../src/processes/door.ts';
import { defineWorkflow } from '../src/sdk/index.ts';
import { Worker } from '../src/workers/worker.ts';
import { SendSignal, type Door } from '../src/write/door.ts';
import { paused, requested, started, trigger } from '../test/support/jobs.ts';
import { type Benchmark, type Context, type Measured, median, quantile } from './benchmark.ts';

const logger = createLogger('error', 'bench');
const FLOOD = 10_000;
const JOB_MS = 20;
const PLACES = 10;
const READY = 100_000;
const WAITING = 100_000;
const CONFIG = { leaseMs: 15_000, redispatchAfterMs: 30_000, shutdownGraceMs: 1_000 };

export const dispatchBenchmark: Benchmark = {
  name: 'dispatch',
  run: async (context) => [
    ...(await fairness(context)),
    ...(await passes(context, 1_000)),
    ...(await passes(context, 1)),
    ...(await waiting(context)),
  ],
};

class Bench {
  readonly counts = new DispatchCounts();
  readonly hints = new LocalLogHints();
  readonly stop = new AbortController();
  readonly database: Database;
  readonly store: PostgresEventStore;
  private readonly lane;
  private readonly closing: (() => Promise<void>)[] = [];

  constructor(readonly url: string) {
    setMaxListeners(0, this.stop.signal);
    this.database = new Database(url, { max: 10, applicationName: 'bench', logger });
    this.lane = appendLane({ databaseUrl: url, logger });
    this.store = new PostgresEventStore({
      database: this.database,
      lane: this.lane,
      hints: this.hints,
    });
  }

  async door(): Promise<Door> {
    const { door, close } = await openDoor({
      store: this.store,
      findWaiting: (event, key) => findWaiting(this.database, event, key),
    });
    this.closing.push(close);
    return door;
  }

  dispatch(door: Door, transport: Transport): void {
    const { url: databaseUrl, database, store, hints } = this;
    const clock = (): Date => new Date();
    const parts = { databaseUrl, database, store, hints, door, transport, clock, logger };
    this.running(new Dispatcher({ ...parts, config: CONFIG }).run(this.stop.signal));
  }

  running(process: Promise<void>): void {
    this.closing.unshift(() => process);
  }

  /** In the log as fast as it takes them. */
  async append(count: number, eventsOf: (n: number) => readonly JobEvent[]): Promise<void> {
    for (let from = 0; from < count; from += 1_000) {
      const batch = Array.from({ length: Math.min(1_000, count - from) }, (_, n) => from + n);
      await Promise.all(
        batch.map((n) =>
          this.store.append({
            streamId: `job-${String(n)}`,
            expected: 0,
            events: eventsOf(n).map((event) => Object.assign({}, event, { id: newId() })),
          }),
        ),
      );
    }
  }

  async close(): Promise<void> {
    this.stop.abort();
    for (const close of this.closing) await close();
    await this.lane.close();
    await this.database.close();
  }
}

const of = (fullName: string, change: Partial<JobRequest> = {}): JobEvent =>
  requested({
    workflow: 'short',
    trigger: { ...trigger, repository: { fullName, url: null, cloneUrl: null } },
    ...change,
  });

/** A real worker and RabbitMQ; one repository has ten thousand jobs, others come with one. */
async function fairness({
  createDatabase,
  rabbitmqUrl,
  progress,
}: Context): Promise<readonly Measured[]> {
  const bench = new Bench(await createDatabase());
  const transport = new RabbitmqTransport({ url: await rabbitmqUrl(), name: 'bench', logger });
  await transport.start();
  try {
    const { database, store, hints, stop } = bench;
    const door = await bench.door();
    await bench.append(FLOOD, () => [of('octo/flood')]);
    bench.dispatch(door, transport);
    const short = defineWorkflow({ name: 'short', run: () => sleep(JOB_MS) });
    const worker = new Worker({
      door,
      transport,
      workflows: new Map([[short.name, short]]),
      database,
      async *notices() {},
      logger,
      config: { ...CONFIG, workerConcurrency: PLACES },
      version: 'bench',
    });
    bench.running(worker.run(stop.signal));
    await sleep(3_000);
    const waits: number[] = [];
    for (let n = 0; n < 10; n++) {
      const streamId = newId();
      await store.append({
        streamId,
        expected: 0,
        events: [{ ...of(`a/${String(n)}`), id: newId() }],
      });
      hints.announce();
      waits.push(await startedAfterMs(store, streamId));
    }
    progress(`another repository's job started after ${waits.join(', ')} ms`);
    const [left] = await database.query<{ n: number }>(sql`
      select count(*)::integer as n from dispatch.jobs where repository = 'github/octo/flood'`);
    return [
      {
        what: `jobs of the flood left at the end, of ${String(FLOOD)}`,
        value: left?.n ?? 0,
        unit: 'jobs',
      },
      {
        what: 'another repository: request to start, median of 10',
        value: median(waits),
        unit: 'ms',
      },
      {
        what: 'another repository: request to start, worst of 10',
        value: Math.max(...waits),
        unit: 'ms',
      },
    ];
  } finally {
    await bench.close();
    await transport.close();
  }
}

async function startedAfterMs(store: PostgresEventStore, streamId: string): Promise<number> {
  for (;;) {
    const [first, second] = await store.readStream(streamId);
    if (first && second) return second.recordedAt.getTime() - first.recordedAt.getTime();
    await sleep(20);
  }
}

/** What the choice of the next hints costs while so many jobs are ready. */
async function passes(
  { createDatabase }: Context,
  repositories: number,
): Promise<readonly Measured[]> {
  const bench = new Bench(await createDatabase());
  try {
    const { database } = bench;
    await database.query(sql`
      insert into dispatch.jobs (job_id, workflow, repository, priority, requested_position,
        line_position, phase, version, position, since, takeable)
      select 'job-' || n, 'short', 'repository-' || n % ${repositories}::integer, 5, n, n,
        'requested', 1, n, now(), true
      from generate_series(1, ${READY}::integer) as n`);
    const turns = new Turns();
    const times: number[] = [];
    for (let n = 0; n < 200; n++) {
      const begin = performance.now();
      const { jobs } = await readNextHints(database, 100, turns);
      times.push(performance.now() - begin);
      turns.note(jobs);
    }
    const what = `the next 100 hints of ${String(READY)} ready jobs of ${String(repositories)} repositories`;
    return [
      { what: `${what}, median`, value: median(times), unit: 'ms' },
      { what: `${what}, p99`, value: quantile(times, 0.99), unit: 'ms' },
    ];
  } finally {
    await bench.close();
  }
}

/** A hundred thousand jobs that wait: what they cost, and how soon a signal reaches one of them. */
async function waiting({ createDatabase, progress }: Context): Promise<readonly Measured[]> {
  const bench = new Bench(await createDatabase());
  const transport = new InProcessTransport({ logger });
  try {
    const { database, store, counts } = bench;
    const at = Date.now() + 86_400_000;
    await bench.append(WAITING, (n) => [
      of(`a/${String(n % 1_000)}`),
      started(),
      paused({
        on: [{ event: 'go', key: `k${String(n)}` }],
        until: new Date(at + n).toISOString(),
      }),
    ]);
    progress('the jobs wait');
    const door = await bench.door();
    const begin = performance.now();
    bench.dispatch(door, transport);
    const head = await store.head();
    while ((await readCheckpoint(database, 'dispatch')) < head) await sleep(5);
    const seconds = (performance.now() - begin) / 1_000;
    await sleep(2_000);
    const resumed: number[] = [];
    for (let n = 0; n < 20; n++) {
      const key = `k${String(n * 4_999)}`;
      const signal = { id: newId(), event: 'go', key, payload: null, at: new Date() };
      const sent = performance.now();
      const receipt = await door.execute(new SendSignal(signal));
      if (receipt.resumed.length === 1) resumed.push(performance.now() - sent);
    }
    const clock = (): Date => new Date();
    const parts = { database, store, door, counts, transport, clock, logger };
    const silent = { announce: () => undefined };
    const matching = new SignalMatching(parts);
    await matching.runOnce();
    const idle = [
      matching,
      new Timers({ ...parts, hintsWake: silent, ratesWake: silent }),
      new JobHints({ ...parts, window: new HintWindow(clock), redispatchAfterMs: 30_000 }),
    ];
    const passMs: Measured[] = [];
    for (const reaction of idle) {
      const times: number[] = [];
      for (let n = 0; n < 50; n++) {
        const from = performance.now();
        await reaction.runOnce();
        times.push(performance.now() - from);
      }
      passMs.push({
        what: `an idle pass of ${reaction.name}, median`,
        value: median(times),
        unit: 'ms',
      });
    }
    const [size] = await database.query<{ bytes: number }>(sql`
      select (pg_total_relation_size('dispatch.jobs') + pg_total_relation_size('dispatch.waits'))::float8
        as bytes`);
    return [
      {
        what: `the tables catch up with ${String(WAITING)} paused jobs`,
        value: seconds,
        unit: 's',
      },
      { what: 'their rows and indexes', value: (size?.bytes ?? 0) / WAITING, unit: 'bytes a job' },
      {
        what: 'a signal to one of them, until it is resumed, median of 20',
        value: median(resumed),
        unit: 'ms',
      },
      {
        what: 'a signal to one of them, until it is resumed, worst of 20',
        value: Math.max(...resumed),
        unit: 'ms',
      },
      ...passMs,
    ];
  } finally {
    await bench.close();
    await transport.close();
  }
}
