import { expect } from 'vitest';

import type { JobEvent } from '../../src/events/job.ts';
import { newId } from '../../src/platform/ids.ts';
import type { Ledger } from './support.ts';

/** given(ledger, …events of one job).expectJob({…}).expectSteps([…]), on real tables, event by event and all at once. */
export function given(ledger: Ledger, ...events: readonly JobEvent[]) {
  const streamId = newId();
  const projected = project(ledger, streamId, events);
  return {
    expectJob: async (row: Record<string, unknown>) => {
      await projected;
      const rows = await ledger.rows(`select * from read.jobs where job_id = '${streamId}'`);
      expect(rows).toHaveLength(1);
      expect(rows[0]).toMatchObject(row);
    },
    expectSteps: async (...names: readonly string[]) => {
      await projected;
      const rows = await ledger.rows(
        `select name from read.job_steps where job_id = '${streamId}' order by ordinal`,
      );
      expect(rows.map(({ name }) => name)).toEqual(names);
    },
  };
}

async function project(
  ledger: Ledger,
  streamId: string,
  events: readonly JobEvent[],
): Promise<void> {
  await ledger.append(streamId, ...events);
  await ledger.catchUp({ pageSize: 1 });
}
