import { setMaxListeners } from 'node:events';

import { findWaiting } from '../dispatch/waiting-jobs.ts';
import { oldestPosition } from '../event-store/oldest-position.ts';
import { JobFinder, Planner } from '../ingress/graphql/ports.ts';
import { Interpreter } from '../ingress/webhooks/interpreter.ts';
import { Access } from '../platform/access.ts';
import { followApiKeys, validKeys } from '../platform/api-keys.ts';
import { pause } from '../platform/backoff.ts';
import { Database, type Queryable } from '../platform/database.ts';
import { untilAnswered } from '../platform/reachable.ts';
import { waitForPosition } from '../projections/control.ts';
import { jobIds } from '../read/job-list.ts';
import { LiveLog } from '../read/live/live-log.ts';
import { followProgress } from '../read/live/progress.ts';
import { ReadSide } from '../read/read-side.ts';
import type { PlannedJob } from '../write/door.ts';
import type { WriteOptions } from '../write/write.module.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';
import type { Trigger } from '../events/trigger.ts';
import { aborted } from './aborted.ts';
import { createApi } from './api-app.ts';
import { CoreOperations } from './core-operations.ts';
import type { Core } from './core.ts';
import { LoggedDeliveries } from './delivery-desk.ts';

export type ApiRole = Readonly<{
  core: Core;
  catalog: WorkflowCatalog;
  host: string;
  /** Told of the port once it listens. */
  onListening?: (port: number) => void;
}>;

/** How long a query waits for what its caller has written. */
const STALE_AFTER_MS = 2_000;

/** Serves the API and the dashboard until `signal` aborts and the clients were told to go. */
export async function runApi(
  { core, catalog, host, onListening }: ApiRole,
  signal: AbortSignal,
): Promise<void> {
  const { config, database, store, hints, logger } = core;
  const waiting = { signal, logger };
  const keys = await untilAnswered(() => validKeys(database), waiting);
  // Before the first subscriber: what it reads of the past and what it is given live have to meet.
  const head = await untilAnswered(() => store.head(), waiting);
  if (keys === undefined || head === undefined) return;
  const replica = openReplica(core);
  const live = new LiveLog({ store, hints, logger });
  const readDatabase = core.privacy.database(replica ?? database);
  const access = new Access(config.apiKeys);
  access.replaceStored(keys);
  const interpreter = new Interpreter();
  const { app, close } = await createApi({
    read: readSide({ ...core, database: readDatabase }, live, signal),
    write: writeSide(core),
    planner: new CatalogPlanner(catalog),
    jobs: new ReadModelJobFinder(readDatabase),
    deliveries: new LoggedDeliveries(readDatabase, { config, plan: catalog.plan, interpreter }),
    operations: new CoreOperations(core),
    access,
    database: readDatabase,
    logger,
  });
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  setMaxListeners(0, until);
  const following = Promise.all([
    live.run(until, head),
    followProgress({ live, database: readDatabase, logger }, until),
    countSubscribers(core, live, until),
    followApiKeys({ database, access, logger }, until),
  ]);
  try {
    await app.listen(config.apiPort, host);
    const { port } = app.getHttpServer().address() as { port: number };
    logger.info({ host, port }, 'serves the API and the dashboard');
    onListening?.(port);
    await aborted(signal);
  } finally {
    ended.abort();
    await close();
    await interpreter.close();
    await following;
    await replica?.close();
  }
}

const writeSide = ({ database, store, privacy, prompt }: Core): WriteOptions => ({
  store,
  prompt,
  database: privacy.database(database),
  sealTrigger: privacy.sealTrigger,
  findWaiting: (event, key) => findWaiting(database, event, key),
});

function readSide(
  {
    database,
    store,
    transport,
  }: Pick<Core, 'store' | 'transport'> & Readonly<{ database: Queryable }>,
  live: LiveLog,
  signal: AbortSignal,
): ReadSide {
  return new ReadSide({
    database,
    store,
    live,
    queues: () => transport?.queues() ?? Promise.resolve([]),
    deadLetters: (limit) => transport?.deadLetters(limit) ?? Promise.resolve([]),
    oldestPosition: () => oldestPosition(database),
    waitForJobs: (position) =>
      waitForPosition(database, 'jobs', position, { timeoutMs: STALE_AFTER_MS, signal }),
  });
}

async function countSubscribers(
  { metrics }: Core,
  live: LiveLog,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    metrics.subscriptions.set(live.subscribers);
    await pause(1_000, signal);
  }
}

function openReplica({ config, logger, metrics }: Core): Database | null {
  if (config.databaseReadUrl === null) return null;
  const replica = new Database(config.databaseReadUrl, {
    max: config.databasePoolMax ?? 20,
    applicationName: 'api replica',
    logger,
  });
  metrics.watchPool(() => replica.connections());
  return replica;
}

class CatalogPlanner extends Planner {
  constructor(private readonly catalog: WorkflowCatalog) {
    super();
  }

  names(): readonly string[] {
    return [...this.catalog.workflows.keys()];
  }

  plan(trigger: Trigger): readonly PlannedJob[] {
    return this.catalog.plan(trigger);
  }

  planOf(workflow: string, trigger: Trigger): PlannedJob | null {
    return this.catalog.planOf(workflow, trigger);
  }
}

class ReadModelJobFinder extends JobFinder {
  constructor(private readonly database: Queryable) {
    super();
  }

  find(
    filter: object,
    options: Readonly<{ statuses: readonly string[]; limit: number }>,
  ): Promise<readonly string[]> {
    return jobIds(this.database, filter, options);
  }
}
