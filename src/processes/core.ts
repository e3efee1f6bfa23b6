import { PostgresEventStore, appendLane } from '../event-store/postgres-event-store.ts';
import { PostgresLogHints } from '../event-store/postgres-log-hints.ts';
import { PromptJobHints } from '../dispatch/prompt-job-hints.ts';
import type { PromptHints } from '../write/prompt-hints.ts';
import type { EventStore } from '../event-store/event-store.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import type { Transport } from '../messaging/transport.ts';
import type { Config } from '../platform/config.ts';
import { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { migrate, requireMigrated } from '../platform/migrate.ts';
import { untilAnswered, untilReachable } from '../platform/reachable.ts';
import { type Privacy, openPrivacy } from './privacy.ts';

export type RoleName = 'ingress' | 'api' | 'worker' | 'projector' | 'start';

/** What every role stands on. `start` shares one among all of them. */
export type Core = Readonly<{
  config: Config;
  databaseUrl: string;
  logger: Logger;
  metrics: Metrics;
  database: Database;
  /** For those who work with names: sealed ones are open here. */
  store: EventStore;
  /** As it is stored: names that are sealed stay so, in read models and at whatever is told of events. */
  log: EventStore;
  privacy: Privacy;
  hints: LogHints;
  /** null in a role that neither publishes nor consumes. */
  transport: Transport | null;
  /** null in a role that does not publish. */
  prompt: PromptHints | null;
}>;

/** Connections of the pool; those that the lanes, hints and locks hold come on top. */
const POOL: Readonly<Record<RoleName, number>> = {
  // Its lanes have their own connections: with those of the hints and the probe no more than eight in all.
  ingress: 2,
  api: 20,
  worker: 8,
  projector: 8,
  start: 20,
};

export type CoreOptions = Readonly<{
  role: RoleName;
  config: Config;
  databaseUrl: string;
  logger: Logger;
  metrics: Metrics;
  openTransport: () => Promise<Transport | null>;
  /** A role that waits for its database stops waiting when this aborts. */
  stopping: AbortSignal;
}>;

/** An ingress with a spool waits no longer for its database: webhooks come now or never. */
const START_WITHOUT_AFTER_MS = 1_000;

/**
 * Opens what a role needs, and closes it again when `work` has ended. A database that is away is waited for, except by
 * an ingress that can spool; for an outdated one it throws one sentence, except that `start` brings it up to date.
 */
export async function withCore(
  options: CoreOptions,
  work: (core: Core) => Promise<void>,
): Promise<void> {
  const { role, config, databaseUrl, logger, metrics } = options;
  const database = new Database(databaseUrl, {
    max: config.databasePoolMax ?? POOL[role],
    applicationName: role,
    logger,
  });
  metrics.watchPool(() => database.connections());
  const lane = appendLane({ databaseUrl, logger, deadlineMs: 10_000 });
  const hints = new PostgresLogHints({ databaseUrl, logger, applicationName: `${role} hints` });
  const log = new PostgresEventStore({ database, lane, hints });
  const privacy = openPrivacy(config, database);
  const store = privacy.store(log);
  const ended = new AbortController();
  let transport: Transport | null = null;
  try {
    transport = await options.openTransport();
    const waiting = { signal: patience(options, transport), logger };
    const isThere =
      (await untilReachable(database, waiting)) &&
      (await untilAnswered(() => upToDate(role, database), waiting)) === true;
    if (options.stopping.aborted) return;
    if (!isThere) logger.warn('starts without its database: deliveries go to the spool');
    const hinting = hints.run(ended.signal);
    const prompt = transport === null ? null : new PromptJobHints({ transport, logger });
    const shared = { config, databaseUrl, logger, metrics, database, hints, transport, prompt };
    await work({ ...shared, store, log, privacy });
    ended.abort();
    await hinting;
  } finally {
    ended.abort();
    await transport?.close();
    await lane.close();
    await database.close();
  }
}

async function upToDate(role: RoleName, database: Database): Promise<true> {
  await (role === 'start' ? migrate(database.url) : requireMigrated(database));
  return true;
}

/** Aborts when the database is waited for no longer. */
function patience({ role, stopping }: CoreOptions, transport: Transport | null): AbortSignal {
  return role === 'ingress' && transport?.isDurable === true
    ? AbortSignal.any([stopping, AbortSignal.timeout(START_WITHOUT_AFTER_MS)])
    : stopping;
}
