import {
  type AppendLane,
  PostgresEventStore,
  appendLane,
} from '../../src/event-store/postgres-event-store.ts';
import { PostgresLogHints } from '../../src/event-store/postgres-log-hints.ts';
import { Database } from '../../src/platform/database.ts';
import { type Logger, createLogger } from '../../src/platform/logger.ts';

export const silent: Logger = createLogger('silent', 'test');

export type Participant = Readonly<{
  store: PostgresEventStore;
  hints: PostgresLogHints;
  database: Database;
  close: () => Promise<void>;
}>;

/** What one process has of the log: a store with a lane, a pool and hints of its own. */
export function participant(
  url: string,
  lane: Partial<Parameters<typeof appendLane>[0]> = {},
): Participant {
  const stop = new AbortController();
  const database = new Database(url, { max: 4, applicationName: 'test', logger: silent });
  const hints = new PostgresLogHints({ databaseUrl: url, logger: silent });
  const hinting = hints.run(stop.signal);
  const appends: AppendLane = appendLane({ databaseUrl: url, logger: silent, ...lane });
  const store = new PostgresEventStore({ database, lane: appends, hints });
  return {
    store,
    hints,
    database,
    close: async () => {
      await store.close();
      stop.abort();
      await hinting;
      await database.close();
    },
  };
}
