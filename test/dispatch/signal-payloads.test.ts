import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { SignalMatching } from '../../src/dispatch/signal-matching.ts';
import type { AwaitedSignal } from '../../src/events/job.ts';
import { paused, requested, started } from '../support/jobs.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
beforeEach(async () => {
  await ledger.wipe();
});
afterAll(async () => {
  await ledger.close();
});

const newMatching = () =>
  new SignalMatching({
    database: ledger.database,
    store: ledger.store,
    door: ledger.door,
    counts: ledger.counts,
    clock: ledger.clock,
  });

async function match(matching = newMatching()): Promise<void> {
  await ledger.fold();
  await matching.runOnce();
}

/** The signal that resumed the job last; null when it waits. */
async function resumedBy(jobId: string): Promise<string | null> {
  const last = (await ledger.events(jobId)).at(-1);
  return last?.type === 'JobResumed' && last.data.outcome.kind === 'signal'
    ? last.data.outcome.signalId
    : null;
}

const wait = (...on: AwaitedSignal[]) => paused({ on });
const passed: AwaitedSignal = { event: 'check', key: null, match: { conclusion: 'success' } };
const check = (id: string, conclusion: string) => ledger.signal(id, 'check', 'k', { conclusion });

describe('a wait for a certain payload', () => {
  test('ends with the first signal that has it, and others neither end nor hide it', async () => {
    await ledger.append('j', requested(), started(), wait(passed));
    const matching = newMatching();
    await check('s1', 'failure');
    await match(matching);
    expect(await resumedBy('j')).toBeNull();
    await check('s2', 'cancelled');
    await check('s3', 'success');
    await check('s4', 'success');
    await match(matching);
    expect(await resumedBy('j')).toBe('s3');
  });

  test('finds the one that came before it, among those that do not fit', async () => {
    await ledger.append('j', requested(), started());
    await check('s1', 'failure');
    await check('s2', 'success');
    await check('s3', 'failure');
    await ledger.append('j', wait(passed));
    await match();
    expect(await resumedBy('j')).toBe('s2');
  });

  test('does not take the one that the job has used', async () => {
    await ledger.append('j', requested(), started(), wait(passed));
    await check('s1', 'success');
    await match();
    await ledger.append('j', started('r2'), paused({ id: 'again', on: [passed] }, 'r2'));
    await check('s2', 'failure');
    await match();
    expect(await resumedBy('j')).toBeNull();
    await check('s3', 'success');
    await match();
    expect(await resumedBy('j')).toBe('s3');
  });

  test('stands beside one for any payload, of which the oldest counts', async () => {
    const stop: AwaitedSignal = { event: 'stop', key: 'k' };
    await ledger.append('either', requested(), started(), wait(passed, stop));
    await ledger.append('other', requested(), started(), wait(stop));
    await check('s1', 'failure');
    await ledger.signal('s2', 'stop', 'else', { conclusion: 'success' });
    await ledger.signal('s3', 'stop', 'k', { conclusion: 'failure' });
    await check('s4', 'success');
    await match();
    expect(await resumedBy('either')).toBe('s3');
    expect(await resumedBy('other')).toBe('s3');
  });

  test('is found behind hundreds that do not fit, for each of several jobs', async () => {
    const jobs = ['a', 'b', 'c'];
    for (const id of jobs) await ledger.append(id, requested(), started(), wait(passed));
    await Promise.all(Array.from({ length: 620 }, (_, n) => check(`s${String(n)}`, 'failure')));
    await check('right', 'success');
    await match();
    for (const id of jobs) expect(await resumedBy(id)).toBe('right');
  });

  test('is not compared again with what was compared, and is after a restart', async () => {
    await ledger.append('j', requested(), started(), wait(passed));
    await check('s1', 'failure');
    const reads: string[] = [];
    const store = new Proxy(ledger.store, {
      get: (target, name: keyof typeof ledger.store) =>
        name === 'readStream'
          ? (id: string, range?: object) => {
              reads.push(id);
              return target.readStream(id, range);
            }
          : target[name],
    });
    const parts = { database: ledger.database, door: ledger.door, counts: ledger.counts };
    const matching = new SignalMatching({ ...parts, store, clock: ledger.clock });
    await match(matching);
    await check('s2', 'failure');
    await match(matching);
    expect(reads).toEqual(['s1', 's2']);
    await check('s3', 'success');
    await match();
    expect(await resumedBy('j')).toBe('s3');
  });
});
