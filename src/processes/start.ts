import { setMaxListeners } from 'node:events';
import { resolve } from 'node:path';

import { InProcessTransport } from '../messaging/in-process-transport.ts';
import type { Transport } from '../messaging/transport.ts';
import { type Config, readConfig } from '../platform/config.ts';
import { type Logger, createLogger } from '../platform/logger.ts';
import { Metrics } from '../platform/metrics.ts';
import { announceStart, withdrawStart } from '../platform/running-start.ts';
import { shutdownSignal } from '../platform/shutdown.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import { type Core, withCore } from './core.ts';
import type { Hangups } from './hangups.ts';
import { catalogOf, openAdmin, openRabbitmq } from './run-role.ts';
import { sampleSource } from './sample-source.ts';

export type Addresses = Readonly<{ dashboard: string; ingress: string }>;

/**
 * Runs the whole service in one process until SIGTERM or SIGINT: with a Postgres of its own without `DATABASE_URL`, and
 * with a transport within the process without `RABBITMQ_URL`. Brings the database up to date by itself.
 */
export async function start(
  given: Config,
  onReady: (addresses: Addresses) => void,
  hangups: Hangups | null = null,
): Promise<void> {
  const logger = createLogger(given.logLevel, 'start');
  const config = { ...given, sources: [...given.sources, ...sampleSource(given)] };
  const stopping = shutdownSignal({ graceMs: config.shutdownGraceMs + 10_000, logger });
  const postgres = await openPostgres(config, logger);
  try {
    await withCore(
      {
        role: 'start',
        config,
        databaseUrl: postgres.url,
        logger,
        metrics: new Metrics(),
        stopping,
        openTransport: () => openTransport(config, logger),
      },
      (core) =>
        runAll({ ...core, hangups }, stopping, (addresses) => {
          announceStart(config.dataDir, {
            pid: process.pid,
            databaseUrl: postgres.url,
            workflows: config.workflows === null ? null : resolve(config.workflows),
            ...addresses,
          });
          onReady(addresses);
        }),
    );
  } finally {
    withdrawStart(config.dataDir);
    await postgres.stop();
  }
  logger.info('stopped');
}

async function runAll(
  given: Core & Readonly<{ hangups: Hangups | null }>,
  stopping: AbortSignal,
  onReady: (addresses: Addresses & Readonly<{ admin: string }>) => void,
): Promise<void> {
  // `openTransport` always gives one here.
  const core = given as typeof given & Readonly<{ transport: Transport }>;
  const admin = await openAdmin(core, stopping, 'start');
  const failed = new AbortController();
  const signal = AbortSignal.any([stopping, failed.signal]);
  setMaxListeners(0, signal);
  const address = `http://${shown(core.config.host ?? '127.0.0.1')}:${String(admin.port)}/`;
  try {
    const roles = await runRoles(core, signal, (addresses) => {
      onReady({ ...addresses, admin: address });
    });
    // A role that cannot begin, because its port is taken, ends the others too.
    for (const role of roles) {
      role.catch(() => {
        failed.abort();
      });
    }
    const ends = await Promise.allSettled(roles);
    const failure = ends.find((end) => end.status === 'rejected');
    if (failure) throw failure.reason;
  } finally {
    await admin.close();
  }
}

async function runRoles(
  core: Core & Readonly<{ transport: Transport; hangups: Hangups | null }>,
  signal: AbortSignal,
  onReady: (addresses: Addresses) => void,
): Promise<readonly Promise<void>[]> {
  const [{ runIngress }, { runApi }, { runWorker }, { runProjector }] = await Promise.all([
    import('./ingress.ts'),
    import('./api.ts'),
    import('./worker.ts'),
    import('./projector.ts'),
  ]);
  const host = core.config.host ?? '127.0.0.1';
  const shared = { core, catalog: await catalogOf(core), host };
  const { api, ingress } = onceBothListen((apiPort, ingressPort) => {
    onReady({
      dashboard: `http://${shown(host)}:${String(apiPort)}/`,
      ingress: `http://${shown(host)}:${String(ingressPort)}/webhooks/`,
    });
  });
  return [
    runProjector(shared, signal),
    runWorker(shared, signal),
    runIngress(
      { ...shared, onListening: ingress, readSources: sourcesOfNow, hangups: core.hangups },
      signal,
    ),
    runApi({ ...shared, onListening: api }, signal),
  ];
}

/** With the one that `start` made, where none is configured. */
function sourcesOfNow(): readonly WebhookSource[] {
  const config = readConfig();
  return [...config.sources, ...sampleSource(config)];
}

function onceBothListen(
  ready: (apiPort: number, ingressPort: number) => void,
): Readonly<Record<'api' | 'ingress', (port: number) => void>> {
  const ports: { api?: number; ingress?: number } = {};
  const heard = (role: 'api' | 'ingress') => (port: number) => {
    ports[role] = port;
    if (ports.api !== undefined && ports.ingress !== undefined) ready(ports.api, ports.ingress);
  };
  return { api: heard('api'), ingress: heard('ingress') };
}

const shown = (host: string): string => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);

async function openPostgres(
  { databaseUrl, dataDir }: Config,
  logger: Logger,
): Promise<Readonly<{ url: string; stop: () => Promise<void> }>> {
  if (databaseUrl !== null) return { url: databaseUrl, stop: () => Promise.resolve() };
  const { startEmbeddedPostgres } = await import('../platform/embedded-postgres.ts');
  return startEmbeddedPostgres({ dataDir, logger });
}

function openTransport({ rabbitmqUrl }: Config, logger: Logger): Promise<Transport> {
  return rabbitmqUrl === null
    ? Promise.resolve(new InProcessTransport({ logger }))
    : openRabbitmq(rabbitmqUrl, { role: 'start', logger });
}
