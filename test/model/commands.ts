import assert from 'node:assert/strict';

import fc from 'fast-check';

import type { Concurrency, JobRequest } from '../../src/events/job.ts';
import { NonRetriable, RetryAfter } from '../../src/sdk/errors.ts';
import { request } from '../support/jobs.ts';
import { NAME, type Node, OWN_TRIES, hasOwnTries } from './scripted.ts';
import type { SimpleJob } from './simple-job.ts';
import type { SimpleModel } from './simple-model.ts';
import {
  LEASE_MS,
  type PromptHinting,
  REACTIONS,
  REDISPATCH_MS,
  type ReactionName,
  type World,
} from './world.ts';

type Act = fc.AsyncCommand<SimpleModel, World>;

/** One thing that may happen at any time. Where there is nothing for it to happen to, nothing does. */
const act = (label: string, run: (model: SimpleModel, world: World) => Promise<void>): Act => ({
  check: () => true,
  run: async (model, world) => {
    await run(model, world);
    await model.follow(world);
  },
  toString: () => label,
});

const pick = <T>(all: readonly T[], place: number): T | undefined => all[place % all.length];

const place = fc.nat({ max: 7 });
const anyWorker = fc.constantFrom(0, 1);
const timeoutMs = fc.constantFrom(null, 5_000, 60_000);
const node: fc.Arbitrary<Node> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'step' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'own-tries' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'parallel' } as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      event: fc.constantFrom('go', 'ok'),
      key: fc.constantFrom(null, 'a'),
      timeoutMs,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('any' as const), timeoutMs }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('sleep' as const), ms: fc.constantFrom(0, 5_000) }),
  },
);
const concurrency: fc.Arbitrary<Concurrency | null> = fc.oneof(
  fc.constant(null),
  fc
    .constantFrom('x', 'y')
    .map((key) => ({ strategy: 'supersede', key: `supersede ${key}` }) as const),
  fc.constantFrom('x', 'y').map((key) => ({ strategy: 'queue', key: `queue ${key}` }) as const),
  fc.constant({ strategy: 'limit', key: 'limit', limit: 2 } as const),
);
const anyPrompt: fc.Arbitrary<PromptHinting> = fc.constantFrom('off', 'on', 'lost');

const requested: fc.Arbitrary<Act> = fc
  .record({
    script: fc.array(node, { minLength: 1, maxLength: 4 }),
    concurrency,
    maxAttempts: fc.constantFrom(1, 2, 3),
    deadline: fc.constantFrom(null, null, null, null, null, 40_000),
    prompt: anyPrompt,
  })
  .map(({ script, deadline, maxAttempts, ...given }) =>
    act(
      `request ${JSON.stringify({ script, deadline, maxAttempts, ...given })}`,
      async (model, world) => {
        const id = `job-${String(model.jobs.size + 1)}`;
        const data: JobRequest = request({
          workflow: NAME,
          input: { script } as never,
          concurrency: given.concurrency,
          retry: { maxAttempts, firstDelayMs: 2_000, maxDelayMs: 8_000 },
          ...(deadline === null ? {} : { timeoutMs: deadline }),
        });
        world.prompt = given.prompt;
        assert.equal(await world.request(id, data), null);
        await model.follow(world);
        assert.equal(model.job(id).status, 'REQUESTED');
      },
    ),
  );

/** The same delivery comes again. */
const requestedAgain = place.map((at) =>
  act(`request again ${String(at)}`, async (model, world) => {
    const job = pick([...model.jobs.values()], at);
    if (job === undefined) return;
    assert.equal(await world.request(job.id, job.request), null);
    assert.deepEqual(await model.follow(world), []);
  }),
);

const dispatched = fc.constant(
  act('dispatch', async (model, world) => {
    await model.follow(world);
    await world.dispatch();
    await model.follow(world);
    assertDispatched(model, world);
  }),
);

const folded = fc
  .integer({ min: 1, max: 4 })
  .map((events) => act(`fold ${String(events)}`, (_, world) => world.tables.fold(events)));

const reacted = fc
  .constantFrom<ReactionName>(...REACTIONS)
  .map((reaction) => act(`react ${reaction}`, (_, world) => world.react(reaction)));

const dispatcherReset = fc.constant(
  act('reset the dispatcher', async (_, world) => {
    world.tables.reset();
  }),
);

/** `keep`: it stays in the queue, and comes again, perhaps late. `race`: both workers have it at once. */
const delivered = fc
  .record({ at: place, worker: anyWorker, how: fc.constantFrom('once', 'once', 'keep', 'race') })
  .map(({ at, worker, how }) =>
    act(`deliver ${String(at)} to ${String(worker)}, ${how}`, async (model, world) => {
      const hint = pick(world.hints, at);
      if (hint === undefined) return;
      if (how !== 'keep') world.hints.splice(world.hints.indexOf(hint), 1);
      await model.follow(world);
      const job = model.job(hint.jobId);
      const isFresh = job.version === hint.version && job.isTakeable(world.now);
      await world.deliver(hint, how === 'race' ? [0, 1] : [worker]);
      const starts = (await model.follow(world)).filter(({ type }) => type === 'JobStarted');
      assert.equal(
        starts.length,
        isFresh ? 1 : 0,
        `starts by ${isFresh ? 'a fresh' : 'an old'} hint`,
      );
    }),
  );

/** Dispatcher and workers do at once what they can. */
const turned = anyWorker.map((worker) =>
  act(`a turn, with worker ${String(worker)}`, async (_, world) => {
    await world.dispatch();
    for (const hint of world.hints.splice(0)) await world.deliver(hint, [worker]);
  }),
);

/** Of a job as it is, though nobody has said that it may go on: the clocks of two machines differ. */
const hintedEarly = place.map((at) =>
  act(`hint ${String(at)} early`, async (model, world) => {
    const job = pick(model.open, at);
    if (job === undefined || !model.hasTurn(job)) return;
    world.hints.push({ jobId: job.id, version: job.version });
  }),
);

const hintLost = place.map((at) =>
  act(`lose hint ${String(at)}`, async (_, world) => {
    if (world.hints.length > 0) world.hints.splice(at % world.hints.length, 1);
  }),
);

type StepEnd = 'succeeds' | 'throws' | 'throws for good' | 'asks for time';

const ERRORS: Readonly<Record<StepEnd, () => Error | null>> = {
  succeeds: () => null,
  throws: () => new Error('boom'),
  'throws for good': () => new NonRetriable('never'),
  'asks for time': () => new RetryAfter('busy', 3_000),
};

const stepEnded = fc
  .record({
    at: place,
    how: fc.constantFrom<StepEnd>(
      'succeeds',
      'succeeds',
      'succeeds',
      'throws',
      'throws for good',
      'asks for time',
    ),
    prompt: anyPrompt,
  })
  .map(({ at, how, prompt }) =>
    act(`step ${String(at)} ${how}`, async (model, world) => {
      const step = pick(world.pending, at);
      if (step === undefined) return;
      world.prompt = prompt;
      await model.follow(world);
      const job = model.job(step.jobId);
      const isOurs = job.run?.id === step.runId && !world.isGone(job.run.workerId);
      // Of parallel steps, the first error is the attempt's, and the other one may come first or second.
      const isAlone = !/[ab]$/.test(step.name);
      const expected = how === 'succeeds' ? null : failedStatus(job, step.name, how);
      await world.end(step, ERRORS[how]());
      const events = await model.follow(world);
      if (!isOurs) return assert.deepEqual(events, [], 'said by a run that has lost its job');
      if (expected === null) {
        const [first] = events;
        assert.equal(first?.type, 'JobStepCompleted');
        assert.equal(job.gave(step.name), step.token);
      } else if (isAlone) {
        assert.equal(job.status, expected);
      }
    }),
  );

function failedStatus(job: SimpleJob, step: string, how: StepEnd): 'FAILED' | 'RETRYING' {
  if (how === 'throws for good') return 'FAILED';
  const isLast = hasOwnTries(step)
    ? (job.tries.get(step) ?? 0) + 1 >= OWN_TRIES
    : job.isLastAttempt;
  return isLast ? 'FAILED' : 'RETRYING';
}

const signalled = fc
  .record({
    event: fc.constantFrom('go', 'ok'),
    key: fc.constantFrom(null, 'a', 'a', 'b'),
    prompt: anyPrompt,
  })
  .map(({ event, key, prompt }) =>
    act(`signal ${event} ${String(key)}`, async (model, world) => {
      world.prompt = prompt;
      const before = model.signals.length;
      await world.signal(`signal-${String(before + 1)}`, event, key);
      await model.follow(world);
      assert.equal(model.signals.length, before + 1);
    }),
  );

/** The sender sends it once more, under the same id. */
const signalledAgain = place.map((at) =>
  act(`signal again ${String(at)}`, async (model, world) => {
    const signal = pick(model.signals, at);
    if (signal === undefined) return;
    const before = model.signals.length;
    await world.signal(
      `signal-${String(model.signals.indexOf(signal) + 1)}`,
      signal.data.event,
      signal.data.key,
    );
    await model.follow(world);
    assert.equal(model.signals.length, before);
  }),
);

const timePassed = fc.constantFrom(500, 2_500, 6_000, LEASE_MS, REDISPATCH_MS).map((ms) =>
  act(`${String(ms)} ms pass`, async (_, world) => {
    world.now += ms;
  }),
);

const cancelled = place.map((at) =>
  act(`cancel ${String(at)}`, async (model, world) => {
    const job = pick([...model.jobs.values()], at);
    if (job === undefined) return;
    const { isOpen, status } = job;
    await world.decide(job.id, { type: 'CancelJob', at: world.at, data: { reason: null } });
    const events = await model.follow(world);
    assert.equal(job.status, isOpen ? 'CANCELLED' : status);
    assert.equal(events.length, isOpen ? 1 : 0);
  }),
);

const retried = fc.record({ at: place, from: fc.option(place, { freq: 2 }) }).map(({ at, from }) =>
  act(`retry ${String(at)} from ${String(from)}`, async (model, world) => {
    const job = pick([...model.jobs.values()], at);
    if (job === undefined) return;
    const steps = job.done.filter(({ key }) => key.startsWith('step:'));
    const fromStep =
      from === null ? null : (pick(steps, from)?.key.slice('step:'.length) ?? 'none');
    const { isOpen, status } = job;
    const isAllowed =
      (!isOpen || status === 'RETRYING') && status !== 'SUPERSEDED' && fromStep !== 'none';
    await world.decide(job.id, { type: 'RetryJob', at: world.at, data: { fromStep } });
    const events = await model.follow(world);
    assert.equal(events.length, isAllowed ? 1 : 0);
    assert.equal(job.status, isAllowed ? 'REQUESTED' : status);
  }),
);

/** A dispatcher that has seen another wait of the job, or another opening, ends what may not be over. */
const endedEarly = place.map((at) =>
  act(`end the time of ${String(at)}`, async (model, world) => {
    const job = pick(model.open, at);
    if (job === undefined) return;
    const { wait, deadline } = job;
    const isOver = wait?.until && Date.parse(wait.until) <= world.now;
    const data = { waitId: wait?.id ?? 'none', outcome: { kind: 'timeout' } } as const;
    await world.decide(job.id, { type: 'ResumeJob', at: world.at, data });
    assert.equal((await model.follow(world)).length, isOver ? 1 : 0);
    await world.decide(job.id, { type: 'ExpireJob', at: world.at });
    const isOut = deadline !== null && deadline <= world.now;
    assert.equal((await model.follow(world)).length, isOut ? 1 : 0);
  }),
);

/** By somebody who names the wait that he has seen, or whatever it is. */
const resumedByHand = fc
  .record({ at: place, wait: fc.constantFrom('any', 'its own', 'another') })
  .map(({ at, wait }) =>
    act(`resume ${String(at)}, naming ${wait}`, async (model, world) => {
      const job = pick(model.open, at);
      if (job === undefined) return;
      const own = job.wait?.id ?? null;
      const waitId = { any: null, 'its own': own, another: 'wait:other#0' }[wait] ?? null;
      const outcome = { kind: 'manual', payload: 'by hand' } as const;
      await world.decide(job.id, { type: 'ResumeJob', at: world.at, data: { waitId, outcome } });
      const isAllowed = own !== null && wait !== 'another';
      assert.equal((await model.follow(world)).length, isAllowed ? 1 : 0);
    }),
  );

const workerLost = fc
  .record({ worker: anyWorker, how: fc.constantFrom('crash', 'stall', 'drain') })
  .map(({ worker, how }) =>
    act(`${how} worker ${String(worker)}`, (_, world) => world.lose(worker, how)),
  );

const noticed = fc.constant(act('workers hear of losses', (_, world) => world.notice()));

/** After a dispatcher that is up to date has looked at all, nothing is left for it to do. */
export function assertDispatched(model: SimpleModel, world: World): void {
  for (const job of model.open) {
    const until = job.wait?.until ?? null;
    assert.ok(!(until !== null && Date.parse(until) <= world.now), `${job.id} waits too long`);
    assert.equal(model.signalFor(job), undefined, `a signal for ${job.id}`);
    assert.equal(model.heir(job), null, `the heir of ${job.id}`);
    assert.ok(!(job.deadline !== null && job.deadline <= world.now), `${job.id} is out of time`);
  }
}

/** What may happen, the common things more often. */
const ALL: readonly fc.Arbitrary<Act>[] = [
  ...times(3, requested),
  requestedAgain,
  ...times(2, dispatched),
  ...times(4, turned),
  folded,
  reacted,
  dispatcherReset,
  ...times(4, delivered),
  hintLost,
  hintedEarly,
  endedEarly,
  resumedByHand,
  ...times(8, stepEnded),
  ...times(3, signalled),
  signalledAgain,
  ...times(2, timePassed),
  cancelled,
  ...times(3, retried),
  workerLost,
  noticed,
];

export const COMMANDS = fc.commands([...ALL], { maxCommands: 80, size: 'max' });

/** Some jobs to begin with. */
export const OPENING = fc.array(requested, { minLength: 1, maxLength: 4 });

function times<T>(count: number, each: T): readonly T[] {
  return Array.from({ length: count }, () => each);
}
