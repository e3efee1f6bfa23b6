import { describe, expect, test } from 'vitest';

import type { Recorded } from '../../src/events/event.ts';
import { type JobView, evolveJobView } from '../../src/events/job-view.ts';
import type { JobEvent } from '../../src/events/job.ts';
import { jobsOf, violations } from './checks.ts';
import type { History } from './history.ts';
import type { WorkflowName } from './plan.ts';

type Fact = Readonly<{ job: string; type: JobEvent['type']; data: object }>;

const T0 = Date.parse('2026-01-01T00:00:00Z');
const run = (number: number) => ({ runId: `run-${String(number)}`, attempt: 1 });

const requested = (job: string, workflow: WorkflowName): Fact => ({
  job,
  type: 'JobRequested',
  data: {
    workflow,
    trigger: null,
    input: null,
    priority: 5,
    concurrency: { key: 'branch-1', strategy: 'queue' },
    retry: { maxAttempts: 9, firstDelayMs: 1, maxDelayMs: 1 },
    deliveryId: `row of ${job}`,
  },
});
const started = (job: string, number = 1): Fact => ({
  job,
  type: 'JobStarted',
  data: { ...run(number), workerId: 'w' },
});
const kept = (job: string, name: string, number = 1): Fact => ({
  job,
  type: 'JobStepCompleted',
  data: { ...run(number), name, output: `${job} ${name}`, startedAt: '' },
});
const paused = (job: string): Fact => ({
  job,
  type: 'JobPaused',
  data: { ...run(1), wait: { id: 'w', kind: 'event', on: [], until: null, request: null } },
});
const superseded = (job: string, by: string): Fact => ({
  job,
  type: 'JobSuperseded',
  data: { by },
});
const completed = (job: string, steps: readonly string[], number = 1): Fact => ({
  job,
  type: 'JobCompleted',
  data: { ...run(number), result: steps.map((step) => `${job} ${step}`) },
});

/** An event each ten milliseconds; every kept step was executed before. */
function historyOf(facts: readonly Fact[], change: Partial<History> = {}): History {
  const versions = new Map<string, number>();
  const events = facts.map(({ job, type, data }, index) => {
    const version = (versions.get(job) ?? 0) + 1;
    versions.set(job, version);
    const at = new Date(T0 + index * 10);
    return {
      type,
      at,
      data,
      id: `event ${String(index)}`,
      streamId: job,
      version,
      position: BigInt(index + 1),
      metadata: {},
      recordedAt: at,
    };
  }) as unknown as Recorded<JobEvent>[];
  const jobs = jobsOf({ events });
  return {
    events,
    deliveries: jobs.map(({ id }) => ({
      deliveryId: `delivery of ${id}`,
      jobs: [{ id, workflow: workflowOf(facts, id) }],
    })),
    executions: facts.flatMap(({ job, type, data }, index) =>
      type === 'JobStepCompleted' && 'name' in data
        ? [execution(job, String(data.name), index * 10 - 5)]
        : [],
    ),
    sent: jobs.map(({ id }) => ({
      planned: {
        atMs: 0,
        id: `delivery of ${id}`,
        workflow: workflowOf(facts, id),
        sha: 'f'.repeat(40),
        branch: 'branch-1',
        copies: 1,
        cancelAfterMs: null,
        signalAfterMs: null,
      },
      answers: [{ status: 202, jobs: [{ id, workflow: workflowOf(facts, id) }] }],
      cancelled: null,
    })),
    shown: jobs.map(({ id, events: of }) => ({
      jobId: id,
      view: JSON.parse(
        JSON.stringify({ ...of.reduce<JobView | null>(evolveJobView, null), steps: [] }),
      ) as Record<string, unknown>,
    })),
    frozen: [],
    ...change,
  };
}

const workflowOf = (facts: readonly Fact[], id: string): WorkflowName => {
  const request = facts.find(({ job, type }) => job === id && type === 'JobRequested');
  return (request?.data as { workflow: WorkflowName } | undefined)?.workflow ?? 'two-steps';
};

const execution = (jobId: string, step: string, afterMs: number) => ({
  jobId,
  step,
  token: `${jobId} ${step}`,
  at: T0 + afterMs,
  pid: 1,
});

const SOUND = [
  requested('a', 'two-steps'),
  started('a'),
  kept('a', 'first'),
  kept('a', 'second'),
  completed('a', ['first', 'second']),
];
const sound = historyOf(SOUND);

test('a history in which all went well has no violations', () => {
  expect(violations(sound)).toEqual([]);
});

describe('what is found', () => {
  const cases: readonly (readonly [string, History, RegExp])[] = [
    [
      'a gap in the positions',
      { ...sound, events: sound.events.filter((_, index) => index !== 2) },
      /event 3 has position 4/,
    ],
    [
      'an accepted delivery without a job',
      { ...sound, deliveries: [], sent: sound.sent },
      /delivery of a is stored 0 times/,
    ],
    [
      'a promise of another job',
      {
        ...sound,
        sent: sound.sent.map((sent) => ({
          ...sent,
          answers: [{ status: 202, jobs: [{ id: 'other', workflow: 'two-steps' }] }],
        })),
      },
      /was promised job other, and has a/,
    ],
    ['a job without an end', historyOf(SOUND.slice(0, -1)), /ends once.*job a/],
    [
      'a job that ends twice',
      historyOf([...SOUND, completed('a', ['first', 'second'])]),
      /ends once.*job a/,
    ],
    [
      'two runs at once',
      historyOf([
        requested('a', 'two-steps'),
        started('a', 1),
        started('a', 2),
        completed('a', [], 2),
      ]),
      /job a started while run-1 ran it/,
    ],
    [
      'a run that speaks after it lost the job',
      historyOf([requested('a', 'two-steps'), started('a', 1), completed('a', [], 2)]),
      /JobCompleted of run-2, which did not run it/,
    ],
    [
      'a start in the middle of a wait',
      historyOf([
        requested('a', 'two-steps'),
        started('a'),
        paused('a'),
        started('a'),
        completed('a', []),
      ]),
      /job a started while it waited/,
    ],
    [
      'a step that runs again after it was kept',
      { ...sound, executions: [...sound.executions, execution('a', 'first', 25)] },
      /step first of job a began again 5 ms after/,
    ],
    [
      'an output that no execution made',
      { ...sound, executions: sound.executions.slice(1) },
      /step first of job a has an output that nobody made/,
    ],
    [
      'a result that is not made of the outputs',
      historyOf([...SOUND.slice(0, -1), completed('a', ['first'])]),
      /job a gives \["a first"\]/,
    ],
    [
      'a cancellation that nobody asked for',
      historyOf([requested('a', 'two-steps'), { job: 'a', type: 'JobCancelled', data: {} }]),
      /job a \(two-steps\) ended with JobCancelled/,
    ],
    [
      'a job that was superseded by an older one',
      historyOf([
        requested('a', 'newest'),
        requested('b', 'newest'),
        superseded('b', 'a'),
        started('a'),
        completed('a', []),
      ]),
      /job b was superseded by a, which is not newer/,
    ],
    [
      'two of one line at a time',
      historyOf([
        requested('a', 'in-line'),
        requested('b', 'in-line'),
        started('b'),
        started('a'),
        completed('b', []),
        completed('a', []),
      ]),
      /job b started before a ended/,
    ],
    [
      'a read model that lags',
      { ...sound, shown: [{ jobId: 'a', view: { status: 'RUNNING' } }] },
      /job a is shown as \{"status":"RUNNING"\}/,
    ],
  ];

  test.each(cases)('%s', (_, history, wanted) => {
    expect(violations(history)).toEqual(
      expect.arrayContaining([expect.stringMatching(wanted) as unknown]),
    );
  });
});

test('a step that begins as its process wakes up is no violation: nothing could stop it', () => {
  const again = execution('a', 'first', 25);
  const frozen = [{ pid: 1, from: T0, to: T0 + 24 }];
  const history = { ...sound, executions: [...sound.executions, again], frozen };
  expect(violations(history)).toEqual([]);
});
