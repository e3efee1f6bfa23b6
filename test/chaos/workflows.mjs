// What the workers run. Each step writes a line before anything else, so that every execution can be counted; its
// token is also what the step gives, so that the kept output names the execution that it came from.
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { defineWorkflow, NonRetriable } from 'jobledger';

const FILE = process.env.CHAOS_EXECUTIONS;

function execute(job, step) {
  const token = randomUUID();
  const line = { jobId: job.id, step, token, at: Date.now(), pid: process.pid };
  appendFileSync(FILE, `${JSON.stringify(line)}\n`);
  return token;
}

/** 0 to 255, the same in each run of the job. */
const byte = ({ trigger }, index) =>
  Number.parseInt(trigger.headSha.slice(2 * index, 2 * index + 2), 16);

const work = (job, name, maxMs) => async () => {
  const token = execute(job, name);
  await sleep((byte(job, 4 + name.length) / 255) * maxMs);
  return token;
};

// More attempts than any run of this test can use up: a killed worker costs one.
const retry = { maxAttempts: 1000, firstDelayMs: 20, maxDelayMs: 500 };
const on = (name) => [{ event: 'push', repository: `chaos/${name}` }];
const define = (name, run, more = {}) =>
  defineWorkflow({ name, on: on(name), retry, run, ...more });

export const twoSteps = define('two-steps', async ({ job, step }) => [
  await step('first', work(job, 'first', 1_500)),
  await step('second', work(job, 'second', 1_500)),
]);

export const signalled = define('signalled', async ({ job, step, waitForEvent }) => {
  const before = await step('before', work(job, 'before', 1_000));
  const signal = await waitForEvent('go', { key: job.id });
  if (signal.payload !== job.id) throw new NonRetriable('That is the signal of another job');
  return [before, await step('after', work(job, 'after', 1_000))];
});

export const newest = define(
  'newest',
  async ({ job, step }) => [await step('long', work(job, 'long', 2_500))],
  { concurrency: { key: ({ ref }) => ref, strategy: 'supersede' } },
);

export const inLine = define(
  'in-line',
  async ({ job, step }) => [await step('only', work(job, 'only', 600))],
  { concurrency: { key: ({ ref }) => ref, strategy: 'queue' } },
);

// The module keeps no count of its own: a killed worker would lose it. The attempt is in the log.
export const flaky = define('flaky', async ({ job, step }) => {
  const first = await step('first', work(job, 'first', 800));
  const second = await step('second', () => {
    const token = execute(job, 'second');
    if (job.attempt <= byte(job, 0) % 4) throw new Error('Fails now, and not for ever');
    if (Number.parseInt(job.trigger.headSha.slice(2, 6), 16) % 7 === 0) {
      throw new NonRetriable('Fails for ever');
    }
    return token;
  });
  return [first, second];
});

export const sleeper = define('sleeper', async ({ job, step, sleep: nap }) => {
  const first = await step('first', work(job, 'first', 500));
  await nap('nap', 100 + byte(job, 6) * 8);
  return [first, await step('second', work(job, 'second', 500))];
});
