import { describe, expect, test } from 'vitest';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import type { Concurrency } from '../../src/events/job.ts';
import { DecideJob } from '../../src/write/door.ts';
import { JobDecisions } from '../../src/write/job/decide-job.ts';
import type { PromptHints, ReadyJob } from '../../src/write/prompt-hints.ts';
import { pause, requestJob, resume, start } from '../support/jobs.ts';

/** Tells nobody, and counts what it was asked for. */
class Told implements PromptHints {
  readonly jobs: ReadyJob[] = [];
  outstanding = 0;
  mayTell = true;

  reserve(): boolean {
    if (this.mayTell) this.outstanding++;
    return this.mayTell;
  }

  publish(job: ReadyJob): void {
    this.outstanding--;
    this.jobs.push(job);
  }

  giveBack(): void {
    this.outstanding--;
  }
}

const setup = () => {
  const store = new InMemoryEventStore();
  const told = new Told();
  const jobs = new JobDecisions(store, told);
  const decide = (...args: ConstructorParameters<typeof DecideJob>) =>
    jobs.decide(new DecideJob(...args));
  const metadata = async (jobId: string) =>
    (await store.readStream(jobId)).map(({ metadata: { hinted } }) => hinted ?? false);
  return { store, told, decide, metadata };
};

describe('a job that is ready', () => {
  test('is told of as soon as it is stored, and its event says so', async () => {
    const { told, decide, metadata } = setup();
    await decide('j', requestJob({ workflow: 'review', priority: 7 }));
    expect(told.jobs).toEqual([
      { jobId: 'j', workflow: 'review', kind: 'new', priority: 7, version: 1, position: 1n },
    ]);
    expect(await metadata('j')).toEqual([true]);
    expect(told.outstanding).toBe(0);
  });

  test('is told of when it is resumed', async () => {
    const { told, decide, metadata } = setup();
    await decide('j', requestJob());
    await decide('j', start());
    await decide('j', pause());
    await decide('j', resume());
    expect(told.jobs.map(({ kind, version }) => [kind, version])).toEqual([
      ['new', 1],
      ['resumed', 4],
    ]);
    expect(await metadata('j')).toEqual([true, false, false, true]);
  });

  test('is left to the dispatcher when enough are out', async () => {
    const { told, decide, metadata } = setup();
    told.mayTell = false;
    await decide('j', requestJob());
    expect(told.jobs).toEqual([]);
    expect(await metadata('j')).toEqual([false]);
  });

  test.each<Concurrency>([
    { key: 'k', strategy: 'queue' },
    { key: 'k', strategy: 'limit', limit: 2 },
    { key: 'k', strategy: 'debounce', quietMs: 1, maxWaitMs: 1 },
  ])('is left to the dispatcher when it may have to wait: $strategy', async (concurrency) => {
    const { told, decide } = setup();
    await decide('j', requestJob({ concurrency }));
    expect(told.jobs).toEqual([]);
  });

  test('is left to the dispatcher when it has a rate', async () => {
    const { told, decide } = setup();
    await decide('j', requestJob({ rateLimit: { key: '', limit: 1, perMs: 1_000 } }));
    expect(told.jobs).toEqual([]);
  });

  test('is not told of again when its request is repeated', async () => {
    const { told, decide } = setup();
    await decide('j', requestJob());
    await decide('j', requestJob());
    expect(told.jobs).toHaveLength(1);
    expect(told.outstanding).toBe(0);
  });

  test('is told of by nobody when the log does not take it', async () => {
    const { store, told, decide } = setup();
    store.append = () => Promise.reject(new Error('away'));
    await expect(decide('j', requestJob())).rejects.toThrow('away');
    expect(told.jobs).toEqual([]);
    expect(told.outstanding).toBe(0);
  });
});
