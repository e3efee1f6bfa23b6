import { setTimeout } from 'node:timers/promises';

import type { Database } from '../../src/platform/database.ts';
import { sql } from '../../src/platform/sql.ts';
import type { JobWriter } from '../read/job-writer.ts';

const LOOK_EVERY_MS = 5;

/**
 * From just before an event's append to when its job's row shows it, in ms, for every event of a steady stream; looked
 * for every 5 ms.
 */
export async function lagsOf(
  { database, writer }: Readonly<{ database: Database; writer: JobWriter }>,
  { perSecond, seconds }: Readonly<{ perSecond: number; seconds: number }>,
): Promise<readonly number[]> {
  const lags: number[] = [];
  const waiting = new Map<bigint, number>();
  const writing = writer.update({
    perSecond,
    seconds,
    onAppended: (position, began) => waiting.set(position, began),
  });
  const written = new AbortController();
  const looking = look({ database, waiting, lags }, written.signal);
  await writing;
  written.abort();
  await looking;
  return lags;
}

async function look(
  {
    database,
    waiting,
    lags,
  }: Readonly<{ database: Database; waiting: Map<bigint, number>; lags: number[] }>,
  written: AbortSignal,
): Promise<void> {
  while (!written.aborted || waiting.size > 0) {
    const seen = await livePosition(database);
    const now = performance.now();
    for (const [position, began] of waiting) {
      if (position > seen) continue;
      lags.push(now - began);
      waiting.delete(position);
    }
    await setTimeout(LOOK_EVERY_MS);
  }
}

async function livePosition(database: Database): Promise<bigint> {
  const [row] = await database.query<{ position: string }>(
    sql`select position::text as position from read.projections where name = 'jobs' and live`,
  );
  return BigInt(row?.position ?? 0);
}
