import { isSilent, silenceOf } from '../ingress/upkeep/silence.ts';
import { type Config } from '../platform/config.ts';
import { Database, type Queryable } from '../platform/database.ts';
import { createLogger } from '../platform/logger.ts';
import { pendingMigrations } from '../platform/migrate.ts';
import { runningStart } from '../platform/running-start.ts';
import { sql } from '../platform/sql.ts';
import { openRabbitmq } from '../processes/run-role.ts';
import { listProjections } from '../projections/control.ts';
import type { Check } from './check.ts';
import { checkKeeping } from './examine-keeping.ts';

const ok = (name: string, message: string): Check => ({ name, result: 'ok', message, fix: null });
const warn = (name: string, message: string, fix: string): Check => ({
  name,
  result: 'warn',
  message,
  fix,
});
const fail = (name: string, message: string, fix: string): Check => ({
  name,
  result: 'fail',
  message,
  fix,
});

/** Looks at everything that a deployment needs; a check that cannot be made is a failed one. */
export async function examine(config: Config): Promise<readonly Check[]> {
  return [
    checkNode(process.versions.node),
    checkSources(config),
    ...(await checkDatabase(config)),
    await checkBroker(config),
  ];
}

function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const recent = major > 20 || (major === 20 && minor >= 19);
  return recent
    ? ok('node', version)
    : fail('node', `${version} is too old`, 'install Node 20.19 or later');
}

function checkSources({ sources, apiKeys, host, dataDir }: Config): Check {
  if (apiKeys.length === 0 && host !== null && host !== '127.0.0.1') {
    return warn(
      'config',
      `HOST is ${host} and there are no API_KEYS`,
      'set API_KEYS: until then the API serves this machine only',
    );
  }
  const names = sources.map(({ name }) => name).join(', ');
  if (sources.length === 0 && runningStart(dataDir) !== null) {
    return ok('config', 'the source github, whose secret start has made');
  }
  return sources.length === 0
    ? warn(
        'config',
        'there is no webhook source',
        'set a secret, as GITHUB_WEBHOOK_SECRET ("start" makes one for trying it out)',
      )
    : ok('config', `sources: ${names}`);
}

async function checkDatabase(config: Config): Promise<readonly Check[]> {
  const url = config.databaseUrl ?? runningStart(config.dataDir)?.databaseUrl;
  if (url === undefined) {
    return [fail('database', 'there is none', 'set DATABASE_URL, or run "jobledger start"')];
  }
  const logger = createLogger('silent', 'doctor');
  const database = new Database(url, { max: 2, applicationName: 'doctor', logger });
  try {
    const server = await checkServer(database);
    const migrations = await checkMigrations(database);
    if (migrations.result === 'fail') return [server, migrations];
    return [
      server,
      migrations,
      await checkClock(database),
      ...(await checkLags(database)),
      ...(await checkKeeping(database, config)),
      await checkWorkers(database, config),
      ...(await checkSilences(database, config)),
    ];
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [
      fail(
        'database',
        message,
        'check DATABASE_URL, and that the server runs and lets this machine in',
      ),
    ];
  } finally {
    await database.close();
  }
}

async function checkServer(database: Queryable): Promise<Check> {
  const [row] = await database.query<{ version: number; name: string }>(sql`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as name`);
  const { version = 0, name = 'unknown' } = row ?? {};
  return version >= 150_000
    ? ok('database', `PostgreSQL ${name}`)
    : fail('database', `PostgreSQL ${name} is too old`, 'use PostgreSQL 15 or later');
}

async function checkMigrations(database: Queryable): Promise<Check> {
  const pending = await pendingMigrations(database);
  return pending.length === 0
    ? ok('migrations', 'up to date')
    : fail('migrations', `${String(pending.length)} have not run`, 'run "jobledger migrate"');
}

const CLOCK_TOLERANCE_MS = 1_000;

async function checkClock(database: Queryable): Promise<Check> {
  const before = Date.now();
  const [row] = await database.query<{ now: Date }>(sql`select clock_timestamp() as now`);
  const between = (before + Date.now()) / 2;
  const offMs = Math.round(Math.abs((row?.now.getTime() ?? 0) - between));
  return offMs <= CLOCK_TOLERANCE_MS
    ? ok('clock', `${String(offMs)} ms from the database's`)
    : warn(
        'clock',
        `${String(offMs)} ms from the database's`,
        'synchronise the clocks: retries and timers go by them',
      );
}

const MAX_LAG = 10_000;

async function checkLags(database: Queryable): Promise<readonly Check[]> {
  const live = (await listProjections(database)).filter((each) => each.live);
  return live.map(({ name, status, lag, error }) => {
    const label = `projection ${name}`;
    if (status === 'FAILED') {
      return fail(
        label,
        error ?? 'failed',
        `mend the cause, then "jobledger projections resume ${name}"`,
      );
    }
    if (status === 'PAUSED') return warn(label, 'paused', `"jobledger projections resume ${name}"`);
    return lag > MAX_LAG
      ? warn(label, `${String(lag)} events behind`, 'is a projector running?')
      : ok(label, `${String(lag)} events behind`);
  });
}

async function checkWorkers(database: Queryable, { leaseMs }: Config): Promise<Check> {
  const [row] = await database.query<{ workers: number; silent: number; waiting: number }>(sql`
    select count(*)::int as workers,
      count(*) filter (where last_seen_at < clock_timestamp() - ${leaseMs} * interval '1 millisecond')::int as silent,
      (select count(*) from dispatch.jobs where phase in ('requested', 'resumed'))::int as waiting
    from dispatch.workers`);
  const { workers = 0, silent = 0, waiting = 0 } = row ?? {};
  const state = `${String(workers)} worker(s), ${String(silent)} silent, ${String(waiting)} job(s) wait for one`;
  if (silent > 0)
    return warn(
      'leases',
      state,
      'a projector takes the jobs of silent workers back: is one running?',
    );
  return workers === 0 && waiting > 0
    ? fail('leases', state, 'run "jobledger worker"')
    : ok('leases', state);
}

async function checkSilences(database: Queryable, { sources }: Config): Promise<readonly Check[]> {
  const now = new Date();
  const silences = await Promise.all(sources.map(({ name }) => silenceOf(database, name, now)));
  return silences.map((silence) => {
    const label = `source ${silence.source}`;
    if (silence.lastAt === null) return ok(label, 'nothing has come yet');
    const since = `the last delivery came ${duration(silence.silentMs)} ago`;
    return isSilent(silence)
      ? warn(
          label,
          `${since}, and ${String(silence.usual)} usually come in such a stretch of the week`,
          `see at the host whether the hook is still there and active, and what its last deliveries were answered; "jobledger webhooks listen --source ${silence.source}" waits for the next one`,
        )
      : ok(label, silence.usual === null ? `${since}; too new to say what is usual` : since);
  });
}

function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${String(minutes)} minute(s)`;
  return minutes < 2880
    ? `${String(Math.floor(minutes / 60))} hours`
    : `${String(Math.floor(minutes / 1440))} days`;
}

async function checkBroker({ rabbitmqUrl }: Config): Promise<Check> {
  if (rabbitmqUrl === null)
    return ok('broker', 'none: "start" carries messages within its process');
  const logger = createLogger('silent', 'doctor');
  try {
    const transport = await openRabbitmq(rabbitmqUrl, { role: 'doctor', logger });
    try {
      const dead = (await transport.queues()).find(({ name }) => name === 'workflow.dead');
      return (dead?.ready ?? 0) > 0
        ? warn(
            'broker',
            `${String(dead?.ready)} message(s) could not be handled`,
            '"jobledger queues redrive" puts them back',
          )
        : ok('broker', 'connected, no dead letters');
    } finally {
      await transport.close();
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return fail('broker', message, 'check RABBITMQ_URL, and that the server runs');
  }
}
