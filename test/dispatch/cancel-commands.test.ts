import { afterAll, beforeAll, expect, test } from 'vitest';

import { cancelCommands } from '../../src/dispatch/cancel-commands.ts';
import type { JobRequest } from '../../src/events/job.ts';
import { AT, completed, requested, started, trigger } from '../support/jobs.ts';
import { Ledger, silent } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(async () => {
  await ledger.close();
});

const of = (number: number, repository = 'octo/repo', source = 'github'): Partial<JobRequest> => ({
  trigger: {
    ...trigger,
    source,
    repository: { fullName: repository, url: null, cloneUrl: null },
    pullRequest: { ...trigger.pullRequest!, number },
  },
});

const cancel = (payload: object | null) =>
  ledger.signal(`s-${String(Math.random())}`, 'command.cancel', 'k', payload as never);

const asked = (change: object = {}) =>
  cancel({ source: 'github', repository: 'octo/repo', pullRequest: 7, author: 'ada', ...change });

async function carryOut(): Promise<void> {
  await ledger.fold();
  await cancelCommands({
    database: ledger.database,
    databaseUrl: ledger.url,
    store: ledger.store,
    hints: ledger.hints,
    door: ledger.door,
    logger: silent,
    clock: () => AT,
  }).catchUp();
}

test('/cancel ends the open jobs of its pull request that came before it, and no others', async () => {
  await ledger.append('waiting', requested(of(7)));
  await ledger.append('running', requested(of(7)), started());
  await ledger.append('done', requested(of(7)), started(), completed());
  await ledger.append('other-number', requested(of(8)));
  await ledger.append('other-repository', requested(of(7, 'octo/other')));
  await ledger.append('other-source', requested(of(7, 'octo/repo', 'shop')));
  await asked();
  await ledger.append('later', requested(of(7)));
  await carryOut();
  const last = async (id: string) => (await ledger.events(id)).at(-1);
  for (const id of ['waiting', 'running']) {
    expect(await last(id)).toMatchObject({
      type: 'JobCancelled',
      data: { reason: 'A comment said /cancel' },
    });
  }
  expect((await last('done'))?.type).toBe('JobCompleted');
  for (const id of ['other-number', 'other-repository', 'other-source', 'later']) {
    expect((await last(id))?.type).toBe('JobRequested');
  }
});

test('what is no command is passed over', async () => {
  await ledger.append('stays', requested(of(9)));
  await cancel(null);
  await cancel({ source: 'github' });
  await cancel({ source: 'github', repository: 'octo/repo', pullRequest: '9' });
  await ledger.signal('s-ship', 'command.ship', null, { pullRequest: 9 });
  await carryOut();
  expect(await ledger.types('stays')).toEqual(['JobRequested']);
});
