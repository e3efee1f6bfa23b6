import { type Door, Redeliver, type Redelivery } from '../../write/door.ts';
import { Rejected } from '../../write/rejected.ts';

export type RedeliveryCounts = Readonly<{
  /** Deliveries that were looked at. */
  matched: number;
  /** Those that no workflow wants, or that their source leaves out. */
  unwanted: number;
  /** Those that could not be taken: their source is not configured here, or they are gone. */
  refused: number;
  /** Jobs that were missing. */
  requested: number;
  /** Jobs that had failed, or were cancelled, and begin again. */
  retried: number;
  /** Jobs that stay as they are. */
  unchanged: number;
}>;

export const NOTHING_YET: RedeliveryCounts = {
  matched: 0,
  unwanted: 0,
  refused: 0,
  requested: 0,
  retried: 0,
  unchanged: 0,
};

const AT_ONCE = 8;

/**
 * Redelivers page after page, the oldest first, and tells after each how far it is. Ends with the page at hand when
 * `signal` aborts: what was done stays done, and doing it again changes nothing.
 */
export async function* redeliverMany(
  pages: AsyncIterable<readonly string[]>,
  { door, options }: Readonly<{ door: Door; options: Redeliver['options'] }>,
  signal: AbortSignal,
): AsyncGenerator<RedeliveryCounts> {
  let counts = NOTHING_YET;
  for await (const ids of pages) {
    for (let at = 0; at < ids.length && !signal.aborted; at += AT_ONCE) {
      const done = await Promise.all(
        ids.slice(at, at + AT_ONCE).map((id) => redeliverOne(door, new Redeliver(id, options))),
      );
      counts = done.reduce(counted, counts);
    }
    yield counts;
    if (signal.aborted) return;
  }
}

/** null: it cannot be taken. */
async function redeliverOne(door: Door, command: Redeliver): Promise<Redelivery | null> {
  try {
    return await door.execute(command);
  } catch (error) {
    if (error instanceof Rejected) return null;
    throw error;
  }
}

function counted(before: RedeliveryCounts, done: Redelivery | null): RedeliveryCounts {
  const jobs = done?.jobs ?? [];
  const having = (effect: Redelivery['jobs'][number]['effect']): number =>
    jobs.filter((job) => job.effect === effect).length;
  return {
    matched: before.matched + 1,
    unwanted: before.unwanted + (done?.jobs.length === 0 ? 1 : 0),
    refused: before.refused + (done === null ? 1 : 0),
    requested: before.requested + having('requested'),
    retried: before.retried + having('retried'),
    unchanged: before.unchanged + having('none'),
  };
}
