import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import { openEventStoreDb } from '../../src/mirror/event-store-db.ts';
import { Mirror } from '../../src/mirror/mirror.ts';
import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';

/** Mirrors until it is killed: `node mirror-process.js <database URL> <URL of the mirror>`. */
const [, , databaseUrl = '', target = ''] = process.argv;
const logger = createLogger('warn', 'mirror');
const database = new Database(databaseUrl, { max: 2, applicationName: 'mirror', logger });
const store = new PostgresEventStore({ database, lane: appendLane({ databaseUrl, logger }) });
const mirror = new Mirror({
  databaseUrl,
  database,
  store,
  hints: new LocalLogHints(),
  logger,
  open: () => openEventStoreDb(target),
});
await mirror.run(new AbortController().signal);
