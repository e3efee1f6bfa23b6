import { Leadership, type Term } from '../event-store/leadership.ts';
import { Reconciler } from '../ingress/reconcile/reconciler.ts';
import type { ReconcileReport } from '../ingress/reconcile/report.ts';
import { DeliveryRetention, type Keep } from '../ingress/upkeep/retention.ts';
import { isSilent, silenceOf } from '../ingress/upkeep/silence.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Config } from '../platform/config.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';
import type { Door } from '../write/door.ts';
import type { Core } from './core.ts';

const RETENTION_EVERY_MS = 600_000;
const SILENCE_EVERY_MS = 60_000;

type Upkeep = Readonly<{ core: Core; catalog: WorkflowCatalog; door: Door }>;

type Task = Readonly<{
  name: string;
  everyMs: number;
  runOnce: (signal: AbortSignal) => Promise<unknown>;
}>;

/** Looks after the delivery log in the one process that leads, until `signal` aborts. */
export async function deliveryUpkeep(
  { core, catalog, door }: Upkeep,
  signal: AbortSignal,
): Promise<void> {
  const { databaseUrl, logger, metrics } = core;
  const leadership = new Leadership({ databaseUrl, name: 'delivery-upkeep', logger });
  await leadership.lead(signal, async (term) => {
    const tasks = [retentionOf(core), silenceWatch(core), ...reconciling({ core, catalog, door })];
    await Promise.all(tasks.map((task) => repeat(task, core, term)));
    // Another process tells now.
    metrics.sourceSilenceRatio.reset();
    metrics.sourceSilenceSeconds.reset();
  });
}

/** A failure delays the task and stops nothing else. */
async function repeat(
  { name, everyMs, runOnce }: Task,
  { logger }: Core,
  { signal }: Term,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await runOnce(signal);
      failures = 0;
      await pause(everyMs, signal);
    } catch (error) {
      failures += 1;
      if (signal.aborted) return;
      logger.warn({ err: error, task: name, failures }, 'a task of the delivery log failed');
      await pause(backoffMs(failures, { firstMs: 1_000, maxMs: 60_000 }), signal);
    }
  }
}

function retentionOf({ config, database, metrics, logger }: Core): Task {
  const retention = new DeliveryRetention({
    database,
    clock: () => new Date(),
    rules: { keepOf: keepOf(config), rememberDays: config.deliveries.rememberDays },
    onRemoved: ({ bodies, rows }) => {
      metrics.deliveriesRemoved.inc({ what: 'body' }, bodies);
      metrics.deliveriesRemoved.inc({ what: 'row' }, rows);
    },
  });
  return {
    name: 'retention',
    everyMs: RETENTION_EVERY_MS,
    runOnce: async (signal) => {
      const removed = await retention.runOnce(signal);
      if (removed.bodies + removed.rows > 0) logger.info(removed, 'old deliveries were removed');
    },
  };
}

/** What a source says goes before what holds for all. */
const keepOf =
  ({ sources, deliveries }: Pick<Config, 'sources' | 'deliveries'>) =>
  (name: string): Keep => {
    const source = sources.find((each) => each.name === name);
    return {
      days: source?.keepDays ?? deliveries.keepDays,
      megabytes: source?.keepMegabytes ?? deliveries.keepMegabytes,
    };
  };

function silenceWatch({ config, database, metrics, logger }: Core): Task {
  const told = new Set<string>();
  return {
    name: 'silence',
    everyMs: SILENCE_EVERY_MS,
    runOnce: async () => {
      for (const { name: source } of config.sources) {
        const silence = await silenceOf(database, source, new Date());
        metrics.sourceSilenceSeconds.set({ source }, silence.silentMs / 1_000);
        if (silence.usual !== null) metrics.sourceSilenceRatio.set({ source }, silence.usual);
        if (!isSilent(silence)) told.delete(source);
        else if (!told.has(source)) {
          told.add(source);
          const { lastAt, usual } = silence;
          logger.warn({ source, lastAt, usual }, 'a source is quieter than it used to be');
        }
      }
    },
  };
}

/** How long a head may be unknown before it counts as lost. */
const GRACE_MS = 120_000;

/** None, where no host has a token. */
function reconciling({ core, catalog: { plan }, door }: Upkeep): readonly Task[] {
  const { config, database } = core;
  const everyMs = config.reconcileEverySeconds * 1_000;
  const sources = config.sources.filter(({ provider }) => config.reporting[provider] !== undefined);
  if (everyMs === 0 || sources.length === 0) return [];
  const reconciler = new Reconciler({
    database,
    door,
    plan,
    access: config.reporting,
    clock: () => new Date(),
    graceMs: GRACE_MS,
  });
  return [
    {
      name: 'reconciler',
      everyMs,
      runOnce: async (signal) => {
        for (const source of sources) {
          const report = await reconciler.reconcile(source, { dryRun: false, signal });
          if (report !== null) tell(core, report);
        }
      },
    },
  ];
}

function tell({ logger, metrics }: Core, report: ReconcileReport): void {
  const { source, deliveries, heads, problems } = report;
  metrics.reconciled.inc({ source, what: 'delivery' }, deliveries.length);
  metrics.reconciled.inc({ source, what: 'head' }, heads.length);
  metrics.reconcileFailures.inc({ source }, problems.length);
  for (const lost of deliveries) {
    logger.warn(
      { source, ...lost },
      'a delivery had not arrived: the host was asked to send it again',
    );
  }
  for (const lost of heads) {
    logger.warn({ source, ...lost }, 'no delivery told of a head: its job was requested');
  }
  for (const problem of problems) logger.warn({ source, problem }, 'a host could not be asked');
}
