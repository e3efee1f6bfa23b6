import { afterEach, beforeEach, expect, test } from 'vitest';

import type { JobEvent } from '../../src/events/job.ts';
import * as a from '../support/jobs.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeEach(async () => {
  ledger = await Ledger.open();
});
afterEach(() => ledger.close());

const at = (event: JobEvent, seconds: number): JobEvent => ({
  ...event,
  at: new Date(a.AT.getTime() + seconds * 1_000),
});
const minute = (index: number): Date => new Date(a.AT.getTime() + index * 60_000);

async function expectStats(...rows: readonly unknown[]): Promise<void> {
  expect(await ledger.rows('select * from read.job_stats order by minute, workflow')).toEqual(rows);
}

test.each([1, 1_000])(
  'each minute counts what happened in it, in pages of %i',
  async (pageSize) => {
    await ledger.append('one', at(a.requested(), 0), a.started(), at(a.completed(), 59));
    await ledger.append('two', at(a.requested(), 59.999), a.started(), at(a.failed(), 60));
    await ledger.append('three', at(a.requested(), 61), at(a.cancelled, 61));
    await ledger.catchUp({ pageSize });
    await expectStats(
      { minute: minute(0), workflow: 'review', requested: 2, completed: 1, failed: 0 },
      { minute: minute(1), workflow: 'review', requested: 1, completed: 0, failed: 1 },
    );
  },
);

test('each workflow is counted by itself, also when its request was long ago', async () => {
  await ledger.append('one', at(a.requested({ workflow: 'scan' }), 0));
  await ledger.append('two', at(a.requested({ workflow: 'review', input: 'a\u0000b' }), 0));
  await ledger.catchUp();
  await ledger.append('one', a.started(), at(a.completed(), 0));
  await ledger.append('two', a.started(), at(a.failed(), 0));
  await ledger.catchUp();
  await expectStats(
    { minute: minute(0), workflow: 'review', requested: 1, completed: 0, failed: 1 },
    { minute: minute(0), workflow: 'scan', requested: 1, completed: 1, failed: 0 },
  );
});
