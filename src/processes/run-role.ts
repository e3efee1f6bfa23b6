import { setMaxListeners } from 'node:events';

import { AdminServer, type ReadinessCheck } from '../platform/admin-server.ts';
import type { Config } from '../platform/config.ts';
import { type Logger, createLogger } from '../platform/logger.ts';
import { Metrics } from '../platform/metrics.ts';
import { shutdownSignal } from '../platform/shutdown.ts';
import { sql } from '../platform/sql.ts';
import type { Transport } from '../messaging/transport.ts';
import { type WorkflowCatalog, loadWorkflows } from '../workflows/index.ts';
import { type Core, type RoleName, withCore } from './core.ts';
import type { Hangups } from './hangups.ts';

/** A sentence for the operator; the stack would not help. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun';
}

type WithTransport = Core & Readonly<{ transport: Transport }>;

/** Runs one role until SIGTERM or SIGINT, and drains. */
export async function runRole(
  role: Exclude<RoleName, 'start'>,
  config: Config,
  hangups: Hangups | null = null,
): Promise<void> {
  const { databaseUrl, rabbitmqUrl } = config;
  if (databaseUrl === null) throw missing(role, 'DATABASE_URL');
  if (role !== 'ingress' && rabbitmqUrl === null) throw missing(role, 'RABBITMQ_URL');
  const logger = createLogger(config.logLevel, role);
  const metrics = new Metrics();
  const stopping = shutdownSignal({ graceMs: config.shutdownGraceMs + 5_000, logger });
  await withCore(
    {
      role,
      config,
      databaseUrl,
      logger,
      metrics,
      stopping,
      openTransport: () =>
        rabbitmqUrl === null ? Promise.resolve(null) : openRabbitmq(rabbitmqUrl, { role, logger }),
    },
    async (core) => {
      const admin = await openAdmin(core, stopping, role);
      const failed = new AbortController();
      const until = AbortSignal.any([stopping, failed.signal]);
      setMaxListeners(0, until);
      try {
        await ROLES[role](core, until, hangups);
      } catch (error) {
        // What else runs in this process ends too: it would go on without its database, and nobody would notice.
        failed.abort();
        throw error;
      } finally {
        await admin.close();
      }
    },
  );
  logger.info('stopped');
}

/** Each role loads what it needs and nothing else. A role that takes a transport is only started with one. */
const ROLES: Readonly<
  Record<
    Exclude<RoleName, 'start'>,
    (core: Core, signal: AbortSignal, hangups: Hangups | null) => Promise<void>
  >
> = {
  ingress: async (core, signal, hangups) => {
    const { runIngress } = await import('./ingress.ts');
    const shared = { core, catalog: await catalogOf(core), host: hostOf(core.config) };
    await runIngress({ ...shared, hangups }, signal);
  },
  api: async (core, signal) => {
    const { runApi } = await import('./api.ts');
    await runApi({ core, catalog: await catalogOf(core), host: hostOf(core.config) }, signal);
  },
  worker: async (core, signal) => {
    const { runWorker } = await import('./worker.ts');
    await runWorker({ core: core as WithTransport, catalog: await catalogOf(core) }, signal);
  },
  projector: async (core, signal) => {
    const { runProjector } = await import('./projector.ts');
    await runProjector({ core: core as WithTransport, catalog: await catalogOf(core) }, signal);
  },
};

const hostOf = ({ host }: Config): string => host ?? '127.0.0.1';

export function catalogOf({
  config: { workflows, dataDir, cloneAllow, reporting },
  logger,
}: Pick<Core, 'config' | 'logger'>): Promise<WorkflowCatalog> {
  return loadWorkflows(workflows, {
    dataDir,
    cloneAllow,
    reporting,
    warn: (message) => {
      logger.warn(message);
    },
  });
}

export async function openRabbitmq(
  url: string,
  { role, logger }: Readonly<{ role: string; logger: Logger }>,
): Promise<Transport> {
  const { RabbitmqTransport } = await import('../messaging/rabbitmq-transport.ts');
  const transport = new RabbitmqTransport({ url, name: role, logger });
  await transport.start();
  return transport;
}

/** Health and metrics of the process. */
export async function openAdmin(
  { config, database, transport, metrics, logger }: Core,
  stopping: AbortSignal,
  role: RoleName,
): Promise<AdminServer> {
  const checks: ReadinessCheck[] = [
    {
      name: 'database',
      check: async () => {
        await database.query(sql`select 1`);
      },
    },
  ];
  if (transport !== null) {
    checks.push({
      name: 'broker',
      check: () =>
        transport.isReady() ? Promise.resolve() : Promise.reject(new Error('not connected')),
    });
  }
  const admin = new AdminServer({
    host: hostOf(config),
    port: config.adminPort,
    checks: NEEDED[role](checks),
    registry: metrics.registry,
    stopping,
    logger,
  });
  await admin.start();
  return admin;
}

/**
 * What a role cannot work without: the ingress takes webhooks with either of the two, and the API needs the broker only to
 * show how full it is.
 */
const NEEDED: Readonly<
  Record<RoleName, (checks: readonly ReadinessCheck[]) => readonly ReadinessCheck[]>
> = {
  ingress: (checks) => [anyOf(checks.toReversed())],
  api: (checks) => checks.filter(({ name }) => name === 'database'),
  worker: (checks) => checks,
  projector: (checks) => checks,
  start: (checks) => checks,
};

/** Asks one after the other, until one is there. */
function anyOf(checks: readonly ReadinessCheck[]): ReadinessCheck {
  return {
    name: checks.map(({ name }) => name).join(' or '),
    check: async () => {
      const failures: string[] = [];
      for (const { name, check } of checks) {
        try {
          await check();
          return;
        } catch (error) {
          failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      throw new Error(failures.join('; '));
    },
  };
}

const missing = (role: string, variable: string): CannotRun =>
  new CannotRun(
    `The role ${role} needs ${variable}: set it, or run "jobledger start", which brings its own`,
  );
