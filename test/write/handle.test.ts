import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import type { PayloadMatch } from '../../src/events/payload-match.ts';
import { DecideJob, SendSignal } from '../../src/write/door.ts';
import { JobDecisions } from '../../src/write/job/decide-job.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { Signals } from '../../src/write/signal/send-signal.ts';
import { AT, cancel, complete, pause, requestJob, retry, start, wait } from '../support/jobs.ts';

const setup = () => {
  const store = new InMemoryEventStore();
  const jobs = new JobDecisions(store);
  const decide = (...args: ConstructorParameters<typeof DecideJob>) =>
    jobs.decide(new DecideJob(...args));
  return { store, jobs, decide };
};

describe('a decision', () => {
  test('appends what follows, and gives the job as it is then', async () => {
    const { store, decide } = setup();
    const { history, events } = await decide('j', requestJob());
    expect(events.map(({ type }) => type)).toEqual(['JobRequested']);
    expect(history).toMatchObject({
      version: 1,
      position: 1n,
      state: { phase: { status: 'requested' } },
    });
    expect(await store.readStream('j')).toHaveLength(1);
  });

  test('with the same command id has its effect once, though the rules would let it through again', async () => {
    const { store, decide } = setup();
    await decide('j', requestJob());
    await decide('j', cancel);
    await decide('j', retry(), { commandId: 'c' });
    await decide('j', cancel, { commandId: 'd' });
    // The retry comes again, late: it must not bring the cancelled job back.
    const { events } = await decide('j', retry(), { commandId: 'c' });
    expect(events).toEqual([]);
    expect((await store.readStream('j')).map(({ type }) => type)).toEqual([
      'JobRequested',
      'JobCancelled',
      'JobRetryRequested',
      'JobCancelled',
    ]);
  });

  test('from a known history needs no read, and from an old one is made again', async () => {
    const { decide } = setup();
    const { history: old } = await decide('j', requestJob());
    const { history } = await decide('j', start(), { known: old });
    expect(history.version).toBe(2);
    const { history: done } = await decide('j', complete(), { known: history });
    expect(done).toMatchObject({ version: 3, state: { phase: { status: 'completed' } } });
    await expect(decide('j', cancel, { known: old })).rejects.toEqual(new Rejected('job-finished'));
  });

  test('with an expected version is refused when the job has moved on', async () => {
    const { decide } = setup();
    await decide('j', requestJob());
    await decide('j', start());
    await expect(decide('j', cancel, { expectedVersion: 1 })).rejects.toMatchObject({
      reason: 'version-conflict',
    });
    expect((await decide('j', cancel, { expectedVersion: 2 })).events).toHaveLength(1);
  });

  test('of 50 at once that contradict each other lets one through', async () => {
    const { store, decide } = setup();
    await decide('j', requestJob());
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => decide('j', start(`run-${String(index)}`))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await store.readStream('j')).toHaveLength(2);
  });

  test('keeps the delivery as the correlation id, and says who asked', async () => {
    const { store, decide } = setup();
    await decide('j', requestJob({ deliveryId: 'd' }));
    await decide('j', start(), { actor: 'w' });
    await decide('k', requestJob());
    expect((await store.readStream('j')).map(({ metadata }) => metadata)).toEqual([
      { correlationId: 'd' },
      { correlationId: 'd', actor: 'w' },
    ]);
    expect((await store.readStream('k'))[0]?.metadata).toEqual({ correlationId: 'k' });
  });
});

describe('a signal', () => {
  const signal = (id: string, payload: number | null = null) =>
    new SendSignal({ id, event: 'done', key: null, payload, at: AT });

  const setupWaiting = async (match: PayloadMatch = {}) => {
    const parts = setup();
    const on = [{ event: 'done', key: null, match }];
    const signals = new Signals(parts.store, parts.jobs, async () => {
      const [requested] = await parts.store.readStream('j', { limit: 1 });
      const requestedPosition = requested?.position ?? 0n;
      return [{ jobId: 'j', waitId: wait().id, on, requestedPosition }];
    });
    await signals.send(signal('early'));
    await parts.decide('j', requestJob());
    await parts.decide('j', start());
    return { ...parts, signals };
  };

  test('resumes only what its payload matches', async () => {
    const { decide, signals } = await setupWaiting({ n: 42 });
    await decide('j', pause());
    const other = new SendSignal({ id: 'o', event: 'done', key: null, payload: { n: 41 }, at: AT });
    const right = new SendSignal({ id: 'r', event: 'done', key: null, payload: { n: 42 }, at: AT });
    expect((await signals.send(other)).resumed).toEqual([]);
    expect((await signals.send(right)).resumed).toEqual(['j']);
  });

  test('is stored, and resumes at once what is known to wait', async () => {
    const { decide, signals, store } = await setupWaiting();
    await decide('j', pause());
    const receipt = await signals.send(signal('s', 42));
    expect(receipt.resumed).toEqual(['j']);
    expect((await store.readStream('j')).at(-1)).toMatchObject({
      type: 'JobResumed',
      data: { waitId: wait().id, outcome: { kind: 'signal', payload: 42 } },
    });
    expect(await store.readStream(receipt.signalId)).toHaveLength(1);
  });

  test('from before the job resumes nothing, though it is sent once more', async () => {
    const { decide, signals } = await setupWaiting();
    await decide('j', pause());
    expect((await signals.send(signal('early'))).resumed).toEqual([]);
  });

  test('is stored also when the job has moved on', async () => {
    const { signals } = await setupWaiting();
    const receipt = await signals.send(signal('s'));
    expect(receipt).toMatchObject({ resumed: [], position: 4n });
  });

  test('that is sent twice is one signal', async () => {
    const { signals, store } = await setupWaiting();
    const first = await signals.send(signal('s'));
    expect(await signals.send(signal('s'))).toEqual(first);
    expect(await store.head()).toBe(4n);
  });

  test('may not take the id of something else', async () => {
    const { signals, decide } = await setupWaiting();
    const job = '01890a5d-ac96-774b-bcce-b302099a8057';
    await decide(job, requestJob());
    await expect(signals.send(signal(job))).rejects.toMatchObject({ reason: 'signal-id-taken' });
  });
});
