import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import { PostgresEventStore, appendLane } from '../../src/event-store/postgres-event-store.ts';
import { Database } from '../../src/platform/database.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { countingFollower } from './counting-follower.ts';

/** Follows until it is killed: `node follower-process.js <database URL> <name of this leader>`. */
const [, , url = '', leader = ''] = process.argv;
const logger = createLogger('warn', leader);
const database = new Database(url, { max: 2, applicationName: leader, logger });
const store = new PostgresEventStore({ database, lane: appendLane({ databaseUrl: url, logger }) });
const follower = countingFollower(
  { url, database, store, hints: new LocalLogHints(), logger },
  { leader },
);
await follower.run(new AbortController().signal);
