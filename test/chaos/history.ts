import { Client } from 'pg';

import type { Recorded } from '../../src/events/event.ts';
import { FINAL_EVENTS, type JobEvent } from '../../src/events/job.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { eventually } from '../support/eventually.ts';
import type { SentDelivery } from './load.ts';

/** One execution of a step, written as it began. */
export type Execution = Readonly<{
  jobId: string;
  step: string;
  token: string;
  at: number;
  pid: number;
}>;

export type StoredDelivery = Readonly<{
  deliveryId: string;
  jobs: readonly Readonly<{ id: string; workflow: string }>[];
}>;

export type ShownJob = Readonly<{ jobId: string; view: Record<string, unknown> }>;

/** All that a run left behind; whatever is claimed of it is a function of this. */
export type History = Readonly<{
  events: readonly Recorded<JobEvent | SignalEvent>[];
  deliveries: readonly StoredDelivery[];
  executions: readonly Execution[];
  sent: readonly SentDelivery[];
  shown: readonly ShownJob[];
  /** When which process stood still. */
  frozen: readonly Readonly<{ pid: number; from: number; to: number }>[];
}>;

export const JOB_FINAL: ReadonlySet<string> = new Set(FINAL_EVENTS);

/** A query on the server itself, past the roles' network; on a new connection, as the server may have been killed. */
async function ask<Row>(databaseUrl: string, text: string): Promise<readonly Row[]> {
  const client = new Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query(text)).rows as Row[];
  } finally {
    await client.end().catch(() => {});
  }
}

type EventRow = Readonly<{
  position: string;
  recorded_at: Date;
  occurred_at: Date;
  event_id: string;
  version: number;
  stream_id: string;
  type: string;
  data: unknown;
  metadata: unknown;
}>;

export async function readEvents(databaseUrl: string): Promise<History['events']> {
  const rows = await ask<EventRow>(databaseUrl, 'select * from log.events order by position');
  // They are what the program stored; what is wrong with them is for the checks to say.
  return rows.map((row) => ({
    type: row.type,
    at: row.occurred_at,
    data: row.data,
    id: row.event_id,
    streamId: row.stream_id,
    version: row.version,
    position: BigInt(row.position),
    metadata: row.metadata,
    recordedAt: row.recorded_at,
  })) as unknown as History['events'];
}

export const readDeliveries = (databaseUrl: string): Promise<readonly StoredDelivery[]> =>
  ask(databaseUrl, 'select delivery_id as "deliveryId", jobs from ingress.deliveries');

export const readShown = (databaseUrl: string): Promise<readonly ShownJob[]> =>
  ask(databaseUrl, 'select job_id as "jobId", view from read.jobs');

const OPEN_JOBS = `
  select requested.stream_id as id, last.type as last, job.phase, job.hinted_at is not null as hinted,
    job.takeable, job.blocked
  from log.events as requested
  cross join lateral (
    select type from log.events where stream_id = requested.stream_id order by version desc limit 1
  ) as last
  left join dispatch.jobs as job on job.job_id = requested.stream_id
  where requested.type = 'JobRequested'
    and last.type not in (${FINAL_EVENTS.map((type) => `'${type}'`).join(', ')})`;

/** Resolves when every job of the log has ended; says which have not, when time is up. */
export async function untilSettled(databaseUrl: string, timeoutMs: number): Promise<void> {
  await eventually(
    async () => {
      const open = await ask<object>(databaseUrl, OPEN_JOBS);
      if (open.length === 0) return;
      const some = open.slice(0, 10).map((job) => JSON.stringify(job));
      throw new Error(
        `${String(open.length)} job(s) have not ended ${String(timeoutMs)} ms after the last fault:\n${some.join('\n')}`,
      );
    },
    { timeoutMs, everyMs: 500 },
  );
}

/** Resolves when each of these deliveries is in Postgres, and none waits in the spool. */
export async function untilStored(
  databaseUrl: string,
  ids: readonly string[],
  timeoutMs: number,
): Promise<void> {
  await eventually(
    async () => {
      const stored = new Set((await readDeliveries(databaseUrl)).map((row) => row.deliveryId));
      const missing = ids.filter((id) => !stored.has(id));
      if (missing.length > 0) throw new Error(`Accepted, and not stored: ${missing.join(', ')}`);
    },
    { timeoutMs, everyMs: 100 },
  );
}

/** Resolves when all live projections have read all of the log. */
export async function untilProjected(databaseUrl: string, timeoutMs: number): Promise<void> {
  await eventually(
    async () => {
      const behind = await ask<{ name: string }>(
        databaseUrl,
        `select name, status, lag::int, error from read.projections where live and (lag > 0 or error is not null)`,
      );
      if (behind.length > 0) throw new Error(`Behind the log: ${JSON.stringify(behind)}`);
    },
    { timeoutMs, everyMs: 250 },
  );
}
