import { describe, expect, test } from 'vitest';

import type { Recorded } from '../../src/events/event.ts';
import { JOB_EVENT_TYPES, type JobView, evolveJobView } from '../../src/events/job-view.ts';
import { FINAL_EVENTS, type JobEvent } from '../../src/events/job.ts';
import * as a from '../support/jobs.ts';

/** The view after these events, each a second after the one before. */
function viewOf(...events: readonly JobEvent[]): JobView {
  const view = events.reduce<JobView | null>(
    (before, event, index) => evolveJobView(before, recorded(event, index)),
    null,
  );
  if (!view) throw new Error('no events');
  return view;
}

const recorded = (event: JobEvent, index: number): Recorded<JobEvent> => ({
  ...event,
  at: new Date(a.AT.getTime() + index * 1_000),
  id: `e${String(index)}`,
  streamId: 'job-1',
  version: index + 1,
  position: BigInt(100 + index),
  metadata: { correlationId: 'delivery-1' },
  recordedAt: a.AT,
});

const second = (index: number): string => a.later(index * 1_000);
const running = [a.requested(), a.started()];

const done = {
  status: 'COMPLETED',
  attempt: 1,
  startedAt: second(0),
  output: null,
  error: null,
};

describe('a requested job', () => {
  test('shows what was asked for', () => {
    const concurrency = { key: 'octo/repo#7', strategy: 'supersede' } as const;
    const view = viewOf(
      a.requested({
        workflow: 'scan',
        input: { deep: true },
        priority: 9,
        concurrency,
        deliveryId: 'row-1',
      }),
    );
    expect(view).toEqual({
      id: 'job-1',
      workflow: 'scan',
      status: 'REQUESTED',
      trigger: a.trigger,
      input: { deep: true },
      concurrencyKey: 'octo/repo#7',
      priority: 9,
      attempt: 0,
      maxAttempts: 3,
      requestedAt: second(0),
      startedAt: null,
      finishedAt: null,
      updatedAt: second(0),
      waitingFor: null,
      nextAttemptAt: null,
      error: null,
      result: null,
      supersededBy: null,
      workerId: null,
      correlationId: 'delivery-1',
      deliveryId: 'row-1',
      version: 1,
      position: '100',
      steps: [],
    });
  });

  test('correlates with itself when nothing else is said', () => {
    const event = { ...recorded(a.requested(), 0), metadata: {} };
    expect(evolveJobView(null, event).correlationId).toBe('job-1');
  });
});

describe('a running job', () => {
  test('names its worker and when its first run began', () => {
    expect(viewOf(...running)).toMatchObject({
      status: 'RUNNING',
      workerId: 'w1',
      attempt: 1,
      startedAt: second(1),
    });
  });

  test('keeps the start of its first run through later ones', () => {
    const view = viewOf(...running, a.attemptFailed(), a.started('r2', 2));
    expect(view).toMatchObject({ attempt: 2, startedAt: second(1), updatedAt: second(3) });
  });

  test('gathers its steps in order', () => {
    const view = viewOf(...running, a.stepCompleted('one', 1), a.stepCompleted('two', 2));
    expect(view.steps).toEqual([
      { ...done, name: 'one', finishedAt: second(2), output: 1 },
      { ...done, name: 'two', finishedAt: second(3), output: 2 },
    ]);
  });

  test('shows a step that failed for good, while it goes on', () => {
    const view = viewOf(...running, a.stepFailed('one'));
    expect(view).toMatchObject({ status: 'RUNNING', error: null });
    expect(view.steps).toEqual([
      { ...done, name: 'one', status: 'FAILED', finishedAt: second(2), error: 'boom' },
    ]);
  });

  test('shows the step whose failure ended it', () => {
    const place = { name: 'one', startedAt: second(0) };
    const view = viewOf(...running, a.failed(1, a.failure(), place));
    expect(view.error).toMatchObject({ message: 'boom', step: 'one' });
    expect(view.steps).toEqual([
      { ...done, name: 'one', status: 'FAILED', finishedAt: second(2), error: 'boom' },
    ]);
  });

  test('keeps no failure of a step when it is begun anew', () => {
    const failed = [a.stepFailed('one'), a.stepCompleted('two'), a.failed()];
    const view = viewOf(...running, ...failed, a.retryRequested());
    expect(view.steps.map(({ name }) => name)).toEqual(['two']);
  });

  test('follows the place of the last event', () => {
    expect(viewOf(...running)).toMatchObject({ version: 2, position: '101', updatedAt: second(1) });
  });
});

describe('a paused job', () => {
  test('says what it waits for, and holds no worker', () => {
    const view = viewOf(
      ...running,
      a.paused({ on: [{ event: 'approved', key: 'k' }], until: second(60) }),
    );
    expect(view).toMatchObject({
      status: 'PAUSED',
      workerId: null,
      waitingFor: { event: 'approved', key: 'k', until: second(60), approval: null },
    });
  });

  test('shows a timer as sleep', () => {
    const view = viewOf(...running, a.paused({ kind: 'sleep', on: [], until: second(60) }));
    expect(view.waitingFor).toEqual({
      event: 'sleep',
      key: null,
      until: second(60),
      approval: null,
    });
  });

  test('says who is asked for what', () => {
    const approval = { name: 'deploy', approvers: ['ada'] };
    const view = viewOf(...running, a.paused({ kind: 'approval', approval }));
    expect(view.waitingFor).toMatchObject({ approval });
  });

  test('stays so after its resumption until a worker takes it', () => {
    const resumed = [...running, a.paused(), a.resumed()];
    expect(viewOf(...resumed)).toMatchObject({ status: 'PAUSED' });
    expect(viewOf(...resumed, a.started('r2'))).toMatchObject({
      status: 'RUNNING',
      waitingFor: null,
    });
  });
});

describe('a job whose attempt failed', () => {
  test('says why, and when it goes on', () => {
    expect(viewOf(...running, a.attemptFailed(1, 5_000))).toMatchObject({
      status: 'RETRYING',
      workerId: null,
      nextAttemptAt: a.later(5_000),
      error: { message: 'boom', classification: 'transient', attempt: 1, at: second(2) },
    });
  });

  test('waits for no attempt while it runs', () => {
    expect(viewOf(...running, a.attemptFailed(), a.started('r2', 2)).nextAttemptAt).toBeNull();
  });

  test('says that its worker fell silent', () => {
    expect(viewOf(...running, a.interrupted('lease-expired'))).toMatchObject({
      status: 'RETRYING',
      workerId: null,
      error: { name: 'Interrupted', classification: 'interrupted', attempt: 1 },
    });
  });

  test('that was given back is as good as new', () => {
    expect(viewOf(...running, a.interrupted('released'))).toMatchObject({
      status: 'REQUESTED',
      workerId: null,
      nextAttemptAt: null,
      error: null,
    });
  });
});

describe('a finished job', () => {
  test.each([
    ['COMPLETED', a.completed({ ok: true }), { result: { ok: true }, error: null }],
    ['FAILED', a.failed(3), { error: { message: 'boom', attempt: 3, at: second(2) } }],
    ['CANCELLED', a.cancelled, {}],
    ['SUPERSEDED', a.superseded, { supersededBy: 'newer' }],
  ])('is %s', (status, event, rest) => {
    expect(viewOf(...running, event)).toMatchObject({
      status,
      finishedAt: second(2),
      workerId: null,
      ...rest,
    });
  });

  test.each([...FINAL_EVENTS])('waits for nothing after %s', (type) => {
    const end = {
      JobCompleted: a.completed(),
      JobFailed: a.failed(),
      JobCancelled: a.cancelled,
      JobSuperseded: a.superseded,
    }[type];
    const idle = { waitingFor: null, nextAttemptAt: null };
    expect(viewOf(...running, a.paused(), end)).toMatchObject(idle);
    expect(viewOf(...running, a.attemptFailed(), end)).toMatchObject(idle);
  });
});

describe('a retry', () => {
  const steps = [a.stepCompleted('one'), a.stepCompleted('two'), a.stepCompleted('three')];
  const names = (view: JobView): readonly string[] => view.steps.map(({ name }) => name);

  test('makes a finished job new again', () => {
    const view = viewOf(...running, a.completed({ ok: true }), a.retryRequested());
    expect(view).toMatchObject({ status: 'REQUESTED', attempt: 0, finishedAt: null, result: null });
  });

  test('keeps the steps of a failed job', () => {
    expect(names(viewOf(...running, ...steps, a.failed(), a.retryRequested()))).toEqual([
      'one',
      'two',
      'three',
    ]);
  });

  test('keeps no step of a completed one', () => {
    expect(names(viewOf(...running, ...steps, a.completed(), a.retryRequested()))).toEqual([]);
  });

  test('from a step keeps those before it', () => {
    expect(names(viewOf(...running, ...steps, a.completed(), a.retryRequested('two')))).toEqual([
      'one',
    ]);
  });

  test('from a step that is not there keeps all', () => {
    expect(names(viewOf(...running, ...steps, a.failed(), a.retryRequested('four')))).toEqual([
      'one',
      'two',
      'three',
    ]);
  });
});

test('a view is plain JSON', () => {
  const view = viewOf(...running, a.stepCompleted('one', { x: [1] }), a.failed());
  expect(JSON.parse(JSON.stringify(view))).toEqual(view);
});

test('every type of job event has its place', () => {
  expect(JOB_EVENT_TYPES).toHaveLength(13);
});
