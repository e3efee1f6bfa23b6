import { randomUUID } from 'node:crypto';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { Database } from '../src/platform/database.ts';
import { createLogger } from '../src/platform/logger.ts';
import { sql } from '../src/platform/sql.ts';
import { query } from '../test/support/api-client.ts';
import { Deployment, SECRET } from '../test/support/deployment.ts';
import { deliver, push } from '../test/support/webhooks.ts';
import { type Benchmark, type Measured, quantile } from './benchmark.ts';

const DELIVERIES = 300;
const SIGNALS = 200;
const TAKEOVERS = 5;
const WARM_UP = 20;
const LEASE_MS = 2_000;

const WORKFLOWS = `
  const on = (name) => [{ event: 'push', repository: 'octo/' + name }];
  export const noop = defineWorkflow({ name: 'noop', on: on('noop'), run: async () => null });
  export const waits = defineWorkflow({
    name: 'waits', on: on('waits'),
    async run({ step, waitForEvent, job }) {
      await waitForEvent('go', { key: job.id });
      return step('after', () => performance.timeOrigin + performance.now());
    },
  });
  export const stuck = defineWorkflow({
    name: 'stuck', on: on('stuck'), retry: { maxAttempts: 10, firstDelayMs: 10, maxDelayMs: 10 },
    run: ({ step }) => step('endless', () => new Promise(() => {})),
  });`;

type Parts = Readonly<{ deployment: Deployment; database: Database; ingress: string; api: string }>;

/** An event of a job: when it was decided (to the millisecond), and when it was stored. */
type Event = Readonly<{
  type: string;
  decidedAt: number;
  storedAt: number;
  data: { result?: unknown };
}>;

/** Milliseconds from one moment to another, by what they are called. */
type Spans = Readonly<Record<string, number>>;

/** How long things take in an idle system, the roles as processes of their own, one thing at a time. */
export const latencyBenchmark: Benchmark = {
  name: 'latency',
  async run({ createDatabase, rabbitmqUrl, progress }) {
    const databaseUrl = await createDatabase();
    const logger = createLogger('warn', 'bench');
    const database = new Database(databaseUrl, { max: 1, applicationName: 'bench', logger });
    const deployment = await Deployment.open(
      { databaseUrl, rabbitmqUrl: await rabbitmqUrl() },
      { LOG_LEVEL: 'info', LEASE_MS: String(LEASE_MS) },
    );
    const env = { WORKFLOWS: await deployment.writeWorkflows('latency.mjs', WORKFLOWS) };
    try {
      const [ingress, api] = await Promise.all([
        deployment.startIngress(env),
        deployment.startApi(env),
        deployment.startProjector(env),
      ]);
      const worker = await deployment.startWorker(env);
      const parts: Parts = { deployment, database, ingress, api };
      const said = (what: string): void => {
        progress(`latency: ${what}, load average ${(loadavg()[0] ?? 0).toFixed(1)}`);
      };
      said('deliveries');
      const deliveries = await measured(DELIVERIES, () => startOf(parts));
      said('signals');
      const signals = await measured(SIGNALS, () => resumptionOf(parts));
      said('takeovers');
      const takeovers = await takeOver(parts, worker, env);
      return [...report('delivery', deliveries), ...report('signal', signals), takeovers];
    } finally {
      await deployment.close();
      await database.close();
    }
  },
};

/** Sends a delivery, and gives how long its job took to start. */
async function startOf(parts: Parts): Promise<Spans> {
  const sentAt = now();
  const { jobId, answeredAt } = await send(parts, 'noop');
  const events = await eventsUntil(parts, jobId, 'JobCompleted');
  const [requested, started] = [first(events, 'JobRequested'), first(events, 'JobStarted')];
  return {
    'answered to JobStarted': started.storedAt - answeredAt,
    'sent to JobStarted': started.storedAt - sentAt,
    'of these: sent to JobRequested': requested.storedAt - sentAt,
    'of these: JobRequested to the claim': started.decidedAt - requested.storedAt,
    'of these: the claim': started.storedAt - started.decidedAt,
    'sent to answered': answeredAt - sentAt,
  };
}

/** Resumes a waiting job by a signal, and gives how long its next step took to begin. */
async function resumptionOf(parts: Parts): Promise<Spans> {
  const { jobId } = await send(parts, 'waits');
  await eventsUntil(parts, jobId, 'JobPaused');
  // Until the read models and the dispatcher are at rest again.
  await sleep(100);
  const sentAt = now();
  await query(
    parts.api,
    'mutation ($key: String!) { sendSignal(event: "go", key: $key) { stored } }',
    {
      key: jobId,
    },
  );
  const answeredAt = now();
  const events = await eventsUntil(parts, jobId, 'JobCompleted');
  const resumed = first(events, 'JobResumed');
  const started = first(events.toReversed(), 'JobStarted');
  const stepAt = Number(first(events, 'JobCompleted').data.result);
  return {
    'sent to the step': stepAt - sentAt,
    'of these: sent to JobResumed': resumed.storedAt - sentAt,
    'of these: JobResumed to the claim': started.decidedAt - resumed.storedAt,
    'of these: the claim to the step': stepAt - started.decidedAt,
    'sent to answered': answeredAt - sentAt,
  };
}

/** Kills the worker that has a job, again and again; how much later than the lease the next one has it. */
async function takeOver(
  parts: Parts,
  begun: Awaited<ReturnType<Deployment['startWorker']>>,
  env: Readonly<Record<string, string>>,
): Promise<Measured> {
  const { jobId } = await send(parts, 'stuck');
  await eventsUntil(parts, jobId, 'JobStarted');
  const late: number[] = [];
  for (let worker = begun; late.length < TAKEOVERS;) {
    const next = await parts.deployment.startWorker(env);
    worker.kill('SIGKILL');
    const killedAt = now();
    const events = await eventsUntil(parts, jobId, 'JobStarted', late.length + 2);
    late.push((events.at(-1)?.storedAt ?? Number.NaN) - killedAt - LEASE_MS);
    worker = next;
  }
  return {
    what: `takeover after a kill -9, beyond the lease, worst of ${String(TAKEOVERS)}`,
    value: Math.max(...late),
    unit: 'ms',
  };
}

async function send({ ingress }: Parts, repository: string) {
  const id = randomUUID();
  const response = await deliver(ingress, push(`octo/${repository}`), { secret: SECRET, id });
  const answeredAt = now();
  const { jobs } = (await response.json()) as { jobs: readonly { id: string }[] };
  const [job] = jobs;
  if (job === undefined) throw new Error(`The ingress answered ${String(response.status)}`);
  return { jobId: job.id, answeredAt };
}

/** One after the other, at random moments of whatever goes on at intervals. */
async function measured(count: number, measure: () => Promise<Spans>): Promise<readonly Spans[]> {
  const all: Spans[] = [];
  for (let done = 0; done < WARM_UP + count; done++) {
    all.push(await measure());
    await sleep(Math.random() * 50);
  }
  return all.slice(WARM_UP);
}

/** All events of a job, as soon as there are so many of a type; looks seldom, as looking costs the others time. */
async function eventsUntil(
  { database }: Parts,
  jobId: string,
  type: string,
  count = 1,
): Promise<readonly Event[]> {
  for (;;) {
    await sleep(60);
    const events = await database.query<Event>(sql`
      select type, data, extract(epoch from occurred_at)::float8 * 1000 as "decidedAt",
        extract(epoch from recorded_at)::float8 * 1000 as "storedAt"
      from log.events where stream_id = ${jobId} order by version`);
    if (events.filter((event) => event.type === type).length >= count) return events;
  }
}

function first(events: readonly Event[], type: string): Event {
  const found = events.find((event) => event.type === type);
  if (found === undefined) throw new Error(`No ${type}`);
  return found;
}

/** By the clock that all processes of this machine share, finer than Date's. */
const now = (): number => performance.timeOrigin + performance.now();

function report(what: string, all: readonly Spans[]): readonly Measured[] {
  const names = Object.keys(all[0] ?? {});
  return names.flatMap((name) => {
    const values = all.map((spans) => spans[name] ?? Number.NaN);
    return [0.5, 0.99].map((share) => ({
      what: `${what}, ${name}, p${String(share * 100)}`,
      value: quantile(values, share),
      unit: 'ms',
    }));
  });
}
