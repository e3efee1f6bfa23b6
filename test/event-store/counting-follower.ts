import { Follower, type FollowerDefinition } from '../../src/event-store/follower.ts';
import type { LogHints } from '../../src/event-store/log-hints.ts';
import type { PostgresEventStore } from '../../src/event-store/postgres-event-store.ts';
import type { Recorded } from '../../src/events/event.ts';
import type { Database, Queryable } from '../../src/platform/database.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { sql } from '../../src/platform/sql.ts';

export const NAME = 'counting';

export type Counting = Readonly<{
  url: string;
  database: Database;
  store: PostgresEventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  logger: Logger;
}>;

/** Where it writes; not unique, so that a page that counts twice is seen twice. */
export const createCounts = sql`create table counted (position bigint not null, leader text not null)`;

/** Writes down the position of each event it handles, in the follower's transaction. */
export async function count(
  page: readonly Recorded[],
  transaction: Queryable,
  leader: string,
): Promise<void> {
  await transaction.query(sql`
    insert into counted
    select position, ${leader} from unnest(${page.map(({ position }) => String(position))}::bigint[]) as position`);
}

export function countingFollower(
  { url, ...parts }: Counting,
  definition: Partial<FollowerDefinition> & Readonly<{ leader: string }>,
): Follower {
  const { leader, ...rest } = definition;
  return new Follower(
    {
      name: NAME,
      pageSize: 10,
      handle: (page, transaction) => count(page, transaction, leader),
      ...rest,
    },
    { ...parts, databaseUrl: url },
  );
}
