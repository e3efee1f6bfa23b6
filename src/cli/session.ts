import type { EventStore } from '../event-store/event-store.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../event-store/postgres-event-store.ts';
import { PostgresLogHints } from '../event-store/postgres-log-hints.ts';
import { findWaiting } from '../dispatch/waiting-jobs.ts';
import { type Config, readConfig } from '../platform/config.ts';
import { Database, type Queryable } from '../platform/database.ts';
import { type Logger, createLogger } from '../platform/logger.ts';
import { requireMigrated } from '../platform/migrate.ts';
import { sql } from '../platform/sql.ts';
import { runningStart } from '../platform/running-start.ts';
import { type Privacy, openPrivacy } from '../processes/privacy.ts';
import { CannotRun } from '../processes/run-role.ts';
import type { Door } from '../write/door.ts';

/** What a command works with: the database of `DATABASE_URL`, or of the `start` that runs in `DATA_DIR`. */
export type Session = Readonly<{
  config: Config;
  databaseUrl: string;
  logger: Logger;
  database: Database;
  /** For what shows names: sealed ones are open here, as they are in `store`. */
  named: Queryable;
  privacy: Privacy;
  store: EventStore;
  /** As it is stored, for what is written to files: sealed names stay so, and are erased there too. */
  log: EventStore;
  hints: LogHints;
  door: () => Promise<Door>;
}>;

/** Opens a session for one command, and closes it whatever becomes of the command. */
export async function withSession(work: (session: Session) => Promise<void>): Promise<void> {
  const config = readConfig();
  const logger = createLogger('warn', 'cli');
  const databaseUrl = databaseUrlOf(config);
  const database = new Database(databaseUrl, { max: 4, applicationName: 'cli', logger });
  const lane = appendLane({ databaseUrl, logger, deadlineMs: 10_000 });
  const hints = new PostgresLogHints({
    databaseUrl,
    // What is wrong with the database is said once, and not as a log.
    logger: createLogger('silent', 'cli'),
    applicationName: 'cli hints',
  });
  const privacy = openPrivacy(config, database);
  const log = new PostgresEventStore({ database, lane, hints });
  const store = privacy.store(log);
  const named = privacy.database(database);
  const closing: (() => Promise<void>)[] = [() => lane.close(), () => database.close()];
  const ended = new AbortController();
  const hinting = hints.run(ended.signal);
  try {
    await requireDatabase(database);
    await work({
      config,
      databaseUrl,
      logger,
      database,
      named,
      privacy,
      store,
      log,
      hints,
      door: async () => {
        const { openDoor } = await import('../processes/door.ts');
        const waiting = findWaiting.bind(null, database);
        const { door, close } = await openDoor({
          store,
          database: named,
          sealTrigger: privacy.sealTrigger,
          findWaiting: waiting,
        });
        closing.unshift(close);
        return door;
      },
    });
  } finally {
    ended.abort();
    await hinting;
    for (const close of closing) await close();
  }
}

async function requireDatabase(database: Database): Promise<void> {
  try {
    await database.query(sql`select 1`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CannotRun(
      `The database gives no answer: ${reason}. Check DATABASE_URL, and that the server runs and lets this machine in`,
      { cause: error },
    );
  }
  await requireMigrated(database);
}

export function databaseUrlOf({ databaseUrl, dataDir }: Config): string {
  const url = databaseUrl ?? runningStart(dataDir)?.databaseUrl;
  if (url !== undefined) return url;
  throw new CannotRun(
    `There is no DATABASE_URL, and no "jobledger start" runs with its data in ${dataDir}: set the one, or start the other`,
  );
}
