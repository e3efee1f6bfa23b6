import { tail } from '../event-store/tail.ts';
import type { Transport } from '../messaging/transport.ts';
import { AstConsumer } from '../workers/ast-consumer.ts';
import { Declaration } from '../workers/declaration.ts';
import { Watchdog } from '../platform/watchdog.ts';
import { LOSS_TYPES, type JobNotice, noticeOf } from '../workers/running-jobs.ts';
import { Worker } from '../workers/worker.ts';
import { createAnalyser } from '../workflows/code-review/ast-analyser.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';
import type { Core } from './core.ts';
import { openDoor } from './door.ts';
import { reportEnds } from './report-ends.ts';
import { VERSION } from './version.ts';

export type WorkerRole = Readonly<{
  core: Core & Readonly<{ transport: Transport }>;
  catalog: WorkflowCatalog;
}>;

/** Runs jobs and analyses until `signal` aborts and what ran has ended or was given back. */
export async function runWorker({ core, catalog }: WorkerRole, signal: AbortSignal): Promise<void> {
  const { config, database, logger, metrics, store, transport } = core;
  const { door, close } = await openDoor({ store });
  const worker = new Worker({
    door,
    transport,
    workflows: catalog.workflows,
    database,
    notices: (until) => notices(core, until),
    logger,
    config,
    version: VERSION,
    onRunEnd: ({ workflow, seconds }) => {
      metrics.jobRunSeconds.observe({ workflow }, seconds);
    },
    onLeftBehind: (workflow) => {
      metrics.runsLeftBehind.inc({ workflow });
    },
  });
  const analyses = new AstConsumer({
    transport,
    analyse: createAnalyser({ dataDir: config.dataDir, cloneAllow: config.cloneAllow }),
    logger,
  });
  const declaration = new Declaration({
    database,
    leaseMs: config.leaseMs,
    workflows: [...catalog.workflows.keys()],
    schedules: catalog.schedules,
    logger,
  });
  logger.info({ workflows: [...catalog.workflows.keys()] }, 'runs jobs');
  const watched = new AbortController();
  const watching = watchdog(config.leaseMs).run(watched.signal);
  try {
    await Promise.all([
      worker.run(signal),
      declaration.run(signal),
      analyses.run(signal),
      reportEnds(core, signal),
    ]);
  } finally {
    watched.abort();
    await watching;
    await close();
  }
}

/** Two leases: the others have the jobs by then. */
const watchdog = (leaseMs: number): Watchdog =>
  new Watchdog({
    patienceMs: 2 * leaseMs,
    lastWords: JSON.stringify({
      level: 60,
      role: 'worker',
      pid: process.pid,
      msg: `A workflow has not let the event loop turn for two leases (${String(2 * leaseMs)} ms): ending this process, so that it is started anew. Its jobs were interrupted: look for a loop without an await in their workflows`,
    }),
  });

/** What takes jobs away, from now on. */
async function* notices(
  { store, hints, logger }: Core,
  signal: AbortSignal,
): AsyncGenerator<readonly JobNotice[]> {
  const after = await store.head();
  for await (const page of tail({ store, hints, logger, after, types: LOSS_TYPES }, signal)) {
    yield page.map(noticeOf).filter((notice) => notice !== null);
  }
}
