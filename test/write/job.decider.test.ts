import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FINAL_EVENTS, type JobEvent } from '../../src/events/job.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { job } from '../../src/write/job/decider.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { given } from '../support/decider-spec.ts';
import {
  AT,
  attemptFailed,
  cancel,
  cancelled,
  complete,
  completed,
  completeStep,
  expire,
  fail,
  failed,
  failStep,
  failure,
  interrupt,
  interrupted,
  later,
  pause,
  paused,
  request,
  requested,
  requestJob,
  resume,
  resumed,
  retry,
  retryRequested,
  retrySteps,
  signalled,
  start,
  started,
  stepCompleted,
  stepFailed,
  supersede,
  superseded,
} from '../support/jobs.ts';

const ENDINGS = { completed: completed(), failed: failed(), cancelled, superseded };

describe('requesting', () => {
  test('a new job is requested', () => {
    given(job).when(requestJob()).emits(requested());
  });

  test('a job that was requested before is not requested again', () => {
    given(job, requested()).when(requestJob()).emitsNothing();
    given(job, requested(), started(), completed()).when(requestJob()).emitsNothing();
  });

  test.each([start(), resume(), cancel, supersede, retry()])('$type: not found', (command) => {
    given(job).when(command).isRefused('job-not-found');
  });
});

describe('starting', () => {
  test('a requested job starts with its first attempt', () => {
    given(job, requested()).when(start()).emits(started('r1', 1));
  });

  test('a start that is repeated by the same run adds nothing', () => {
    given(job, requested(), started('r1')).when(start('r1')).emitsNothing();
  });

  test('a running job is not started by another run', () => {
    given(job, requested(), started('r1')).when(start('r2')).isRefused('job-already-running');
  });

  test.each(Object.entries(ENDINGS))('a job never starts after it was %s', (_, end) => {
    given(job, requested(), started(), end).when(start('r2')).isRefused('job-finished');
  });

  test('a paused job does not start, and does once it is resumed, without using an attempt up', () => {
    given(job, requested(), started(), paused()).when(start('r2')).isRefused('job-not-due');
    given(job, requested(), started(), paused(), resumed())
      .when(start('r2'))
      .emits(started('r2', 1));
  });

  test('the next attempt starts when it is due, and not before', () => {
    const history = [requested(), started(), attemptFailed(1, 1_000)];
    given(job, ...history)
      .when(start('r2', 999))
      .isRefused('job-not-due');
    given(job, ...history)
      .when(start('r2', 1_000))
      .emits({ ...started('r2', 2), at: new Date(later(1_000)) });
  });
});

describe('steps', () => {
  test('a completed step is kept with its attempt', () => {
    given(job, requested(), started())
      .when(completeStep('build', 1))
      .emits(stepCompleted('build', 1));
  });

  test('a step completes once', () => {
    given(job, requested(), started(), stepCompleted('build', 1))
      .when(completeStep('build', 2))
      .emitsNothing();
  });
});

describe('the run that speaks', () => {
  const reports = [completeStep('a'), pause(), complete(), fail(), interrupt('released')];

  test.each(reports)('$type of a run that lost the job to another is refused', (report) => {
    given(job, requested(), started('r1'), interrupted('lease-expired'), started('r2', 2))
      .when(report)
      .isRefused('stale-run');
  });

  test.each(reports)('$type before any start is refused', (report) => {
    given(job, requested()).when(report).isRefused('stale-run');
  });

  test.each([completeStep('a'), pause(), complete(), fail()])(
    '$type after the job was cancelled is refused',
    (report) => {
      given(job, requested(), started(), cancelled).when(report).isRefused('stale-run');
    },
  );
});

describe('pausing', () => {
  test('a running job pauses', () => {
    given(job, requested(), started()).when(pause()).emits(paused());
  });

  test('a repeated pause adds nothing', () => {
    given(job, requested(), started(), paused()).when(pause()).emitsNothing();
  });

  test('a paused job is resumed by a signal, by hand, or by its timeout', () => {
    const manual = { kind: 'manual', payload: 1 } as const;
    const history = [requested(), started(), paused({ until: later(0) })];
    given(job, ...history)
      .when(resume())
      .emits(resumed());
    given(job, ...history)
      .when(resume(manual, null))
      .emits(resumed(manual));
    given(job, ...history)
      .when(resume({ kind: 'timeout' }))
      .emits(resumed({ kind: 'timeout' }));
  });

  test('a timeout that is not due is refused', () => {
    given(job, requested(), started(), paused({ until: later(1) }))
      .when(resume({ kind: 'timeout' }))
      .isRefused('job-not-due');
    given(job, requested(), started(), paused({ until: null }))
      .when(resume({ kind: 'timeout' }))
      .isRefused('job-not-due');
  });

  test('a wait ends once', () => {
    given(job, requested(), started(), paused(), resumed(signalled('s-1')))
      .when(resume(signalled('s-2')))
      .emitsNothing();
  });

  test('a signal ends at most one wait of a job', () => {
    given(job, requested(), started(), paused(), resumed(signalled('s-1')), started('r2'))
      .when(resume(signalled('s-1'), 'wait:done#1'))
      .isRefused('job-not-paused');
    given(
      job,
      requested(),
      started(),
      paused(),
      resumed(signalled('s-1')),
      started('r2'),
      paused({ id: 'wait:done#1' }, 'r2'),
    )
      .when(resume(signalled('s-1'), 'wait:done#1'))
      .emitsNothing();
  });

  test('a job that does not wait, or waits for something else, is not resumed', () => {
    given(job, requested()).when(resume()).isRefused('job-not-paused');
    given(job, requested(), started()).when(resume()).isRefused('job-not-paused');
    given(job, requested(), started(), paused())
      .when(resume(signalled(), 'wait:other#0'))
      .isRefused('job-not-paused');
  });

  test.each(Object.entries(ENDINGS))('a job that was %s is not resumed', (_, end) => {
    given(job, requested(), end).when(resume()).isRefused('job-finished');
  });
});

describe('completing', () => {
  test('a running job completes with its result', () => {
    given(job, requested(), started()).when(complete('r1', 42)).emits(completed(42));
  });

  test('a repeated completion adds nothing', () => {
    given(job, requested(), started(), completed(42)).when(complete('r1', 42)).emitsNothing();
  });
});

describe('failing', () => {
  test('a failed attempt is tried again after the backoff', () => {
    given(job, requested(), started()).when(fail()).emits(attemptFailed(1, 1_000));
  });

  test('the backoff doubles with each attempt, up to its maximum, and jitter shortens it', () => {
    const at = (attempt: number, maxAttempts = 100) => [
      requested({ retry: { maxAttempts, firstDelayMs: 1_000, maxDelayMs: 60_000 } }),
      ...Array.from({ length: attempt - 1 }, (_, i) => [
        started('r0', i + 1),
        attemptFailed(i + 1, 0, 'r0'),
      ]).flat(),
      started('r1', attempt),
    ];
    given(job, ...at(2))
      .when(fail())
      .emits(attemptFailed(2, 2_000));
    given(job, ...at(4))
      .when(fail())
      .emits(attemptFailed(4, 8_000));
    given(job, ...at(40))
      .when(fail())
      .emits(attemptFailed(40, 60_000));
    given(job, ...at(4))
      .when(fail('r1', {}, { jitter: 0.25 }))
      .emits(attemptFailed(4, 2_000));
  });

  test('a workflow may ask for a delay of its own', () => {
    given(job, requested(), started())
      .when(fail('r1', {}, { retryAfterMs: 90_000, jitter: 0 }))
      .emits(attemptFailed(1, 90_000));
  });

  test('the last attempt fails the job', () => {
    given(job, requested(), started('r1', 3)).when(fail()).emits(failed(3));
  });

  test('63 retry-ladder-then-dead, attempt-count-kept', () => {
    const first = [requested(), started('r1', 1), attemptFailed(1, 0, 'r1')];
    given(job, ...first)
      .when(start('r2'))
      .emits(started('r2', 2));
    // What is given back at a deploy, or waits, stays the same attempt.
    const givenBack = [...first, started('r2', 2), interrupted('released', 2, 'r2')];
    given(job, ...givenBack)
      .when(start('r3'))
      .emits(started('r3', 2));
    given(job, ...givenBack, started('r3', 2))
      .when(fail('r3'))
      .emits(attemptFailed(2, 2_000, 'r3'));
    const last = [...givenBack, started('r3', 2), attemptFailed(2, 0, 'r3'), started('r4', 3)];
    given(job, ...last)
      .when(fail('r4'))
      .emits(failed(3));
    given(job, ...last, failed(3))
      .when(start('r5'))
      .isRefused('job-finished');
  });

  test('a permanent error fails the job in its first attempt', () => {
    const error = failure({ classification: 'permanent' });
    given(job, requested(), started()).when(fail('r1', error)).emits(failed(1, error));
  });

  test('a repeated report of a failure adds nothing', () => {
    given(job, requested(), started(), attemptFailed()).when(fail()).emitsNothing();
    given(job, requested(), started('r1', 3), failed(3)).when(fail()).emitsNothing();
  });
});

describe('interrupting', () => {
  test('a lost worker uses an attempt up, and the next is due at once', () => {
    given(job, requested(), started())
      .when(interrupt('lease-expired'))
      .emits(interrupted('lease-expired'));
    given(job, requested(), started(), interrupted('lease-expired'))
      .when(start('r2'))
      .emits(started('r2', 2));
  });

  test('a job that was given back uses no attempt up', () => {
    given(job, requested(), started('r1', 3))
      .when(interrupt('released'))
      .emits(interrupted('released', 3));
    given(job, requested(), started(), interrupted('released'))
      .when(start('r2'))
      .emits(started('r2', 1));
  });

  test('a job whose workers were lost in all attempts fails with that reason', () => {
    const history = [requested(), started('r1', 3)];
    const events = job.decide(
      history.reduce(job.evolve, job.initialState),
      interrupt('lease-expired'),
    );
    expect(events.map(({ type }) => type)).toEqual(['JobInterrupted', 'JobFailed']);
    expect(events[1]).toMatchObject({
      data: { attempt: 3, error: { classification: 'interrupted' } },
    });
  });

  test('a run that has ended is not interrupted', () => {
    given(job, requested(), started(), paused()).when(interrupt('lease-expired')).emitsNothing();
    given(job, requested(), started(), completed()).when(interrupt('lease-expired')).emitsNothing();
    given(job, requested(), started(), interrupted('released'))
      .when(interrupt('released'))
      .emitsNothing();
  });
});

describe('cancelling and superseding', () => {
  const OPEN: Record<string, readonly JobEvent[]> = {
    requested: [requested()],
    running: [requested(), started()],
    paused: [requested(), started(), paused()],
    resumed: [requested(), started(), paused(), resumed()],
    retrying: [requested(), started(), attemptFailed()],
  };

  test.each(Object.entries(OPEN))('a %s job is cancelled or superseded', (_, history) => {
    given(job, ...history)
      .when(cancel)
      .emits(cancelled);
    given(job, ...history)
      .when(supersede)
      .emits(superseded);
  });

  test('repeated is nothing, and after another end it is refused', () => {
    given(job, requested(), cancelled).when(cancel).emitsNothing();
    given(job, requested(), superseded).when(supersede).emitsNothing();
    for (const end of [completed(), failed(), superseded]) {
      given(job, requested(), started(), end).when(cancel).isRefused('job-finished');
    }
    for (const end of [completed(), failed(), cancelled]) {
      given(job, requested(), started(), end).when(supersede).isRefused('job-finished');
    }
  });
});

describe('retrying by hand', () => {
  const finished = (end: JobEvent) => [
    requested(),
    started(),
    stepCompleted('a', 1),
    stepCompleted('b', 2),
    end,
  ];

  test.each([failed(), cancelled, completed()])('a job is requested again after $type', (end) => {
    given(job, ...finished(end))
      .when(retry())
      .emits(retryRequested());
    given(job, ...finished(end), retryRequested())
      .when(start('r2'))
      .emits(started('r2', 1));
  });

  test('a job that waits for its next attempt is tried at once', () => {
    given(job, requested(), started(), attemptFailed()).when(retry()).emits(retryRequested());
  });

  test('a retry that is repeated adds nothing', () => {
    given(job, ...finished(failed()), retryRequested())
      .when(retry())
      .emitsNothing();
  });

  test('a running or paused job is not retried, and a superseded one never', () => {
    given(job, requested(), started()).when(retry()).isRefused('job-not-finished');
    given(job, requested(), started(), paused()).when(retry()).isRefused('job-not-finished');
    given(job, requested(), superseded).when(retry()).isRefused('job-superseded');
  });

  test('a step that did not complete is no place to retry from', () => {
    given(job, ...finished(failed()))
      .when(retry('c'))
      .isRefused('step-not-found');
    given(job, ...finished(failed()))
      .when(retry('b'))
      .emits(retryRequested('b'));
  });

  test('it keeps the steps before the named one, all when none is named, and none of a completed job', () => {
    const kept = (end: JobEvent, fromStep: string | null) => [
      ...[...finished(end), retryRequested(fromStep)]
        .reduce(job.evolve, job.initialState)
        .results.keys(),
    ];
    expect(kept(failed(), 'b')).toEqual(['step:a']);
    expect(kept(failed(), 'a')).toEqual([]);
    expect(kept(failed(), null)).toEqual(['step:a', 'step:b']);
    expect(kept(completed(), null)).toEqual([]);
    expect(kept(completed(), 'b')).toEqual(['step:a']);
  });

  test('what a later step waited for is forgotten with it, but a signal is still used once', () => {
    const state = [
      requested(),
      started(),
      stepCompleted('a'),
      paused(),
      resumed(signalled('s-1')),
      started('r2'),
      failed(),
      retryRequested('a'),
    ].reduce(job.evolve, job.initialState);
    expect(state.results.size).toBe(0);
    expect(state.usedSignals).toEqual(new Set(['s-1']));
  });
});

describe('a step with tries of its own', () => {
  const running = [requested(), started()] as const;
  const retrying = (
    stepTries: Record<string, number>,
    delayMs: number,
    runId = 'r1',
  ): JobEvent => ({
    type: 'JobAttemptFailed',
    at: AT,
    data: {
      runId,
      attempt: 1,
      error: failure(),
      stepTries,
      nextAttemptAt: later(delayMs),
    },
  });

  test('is tried again by its own policy, and uses no attempt up', () => {
    given(job, ...running)
      .when(retrySteps([{ name: 'a', retryAfterMs: null }]))
      .emits(retrying({ a: 1 }, 100));
    given(job, ...running, retrying({ a: 1 }, 0))
      .when(start('r2'))
      .emits(started('r2', 1));
  });

  test('waits longer with each failure, a random part of it', () => {
    given(job, ...running, retrying({ a: 2 }, 0), started('r2'))
      .when(retrySteps([{ name: 'a', retryAfterMs: null }], { runId: 'r2', jitter: 0.5 }))
      .emits(retrying({ a: 3 }, 200, 'r2'));
  });

  test('waits as long as it asks for', () => {
    given(job, ...running)
      .when(retrySteps([{ name: 'a', retryAfterMs: 90_000 }]))
      .emits(retrying({ a: 1 }, 90_000));
  });

  test('waits for the last of several that failed together', () => {
    const steps = [
      { name: 'a', retryAfterMs: 5_000 },
      { name: 'b', retryAfterMs: null },
    ];
    given(job, ...running, retrying({ b: 1 }, 0), started('r1'))
      .when(retrySteps(steps))
      .emits(retrying({ a: 1, b: 2 }, 5_000));
  });

  test('fails for good once, with how often it was tried', () => {
    given(job, ...running, retrying({ a: 2 }, 0), started('r1'))
      .when(failStep('a'))
      .emits(stepFailed('a', 3));
    given(job, ...running, stepFailed('a', 3))
      .when(failStep('a'))
      .emitsNothing();
    given(job, ...running, stepFailed('a', 3))
      .when(completeStep('a'))
      .emitsNothing();
    given(job, ...running, stepCompleted('a'))
      .when(failStep('a'))
      .emitsNothing();
  });

  test('is counted anew after a retry of the job, and what failed for good is forgotten', () => {
    const ended = [retrying({ a: 2 }, 0), started('r1'), stepFailed('a', 3), failed()];
    const again = [...running, ...ended, retryRequested(), started('r2')];
    given(job, ...again)
      .when(failStep('a', 'r2'))
      .emits(stepFailed('a', 1, 'r2'));
    given(job, ...again)
      .when(completeStep('a', 1, 'r2'))
      .emits(stepCompleted('a', 1, 'r2'));
  });

  test('that failed for good is kept when a later step is begun anew, and may be the one', () => {
    const ended = [stepFailed('a'), stepCompleted('b'), failed()];
    given(job, ...running, ...ended, retryRequested('b'), started('r2'))
      .when(failStep('a', 'r2'))
      .emitsNothing();
    given(job, ...running, ...ended)
      .when(retry('a'))
      .emits(retryRequested('a'));
  });

  test('speaks for its run only', () => {
    given(job, ...running)
      .when(failStep('a', 'r9'))
      .isRefused('stale-run');
    given(job, ...running)
      .when(retrySteps([{ name: 'a', retryAfterMs: null }], { runId: 'r9' }))
      .isRefused('stale-run');
  });
});

describe('a job that may take a second in all', () => {
  const asked = requested({ timeoutMs: 1_000 });
  const outOfTime = (status: string): JobEvent =>
    failed(1, {
      name: 'JobTimeout',
      message: `The job was not done within 1000 ms: it was ${status} at its deadline`,
      classification: 'timeout',
    });
  const at = (ms: number, event: JobEvent): JobEvent => ({
    ...event,
    at: new Date(AT.getTime() + ms),
  });

  test.each([
    ['requested', []],
    ['running', [started()]],
    ['paused', [started(), paused()]],
    ['resumed', [started(), paused(), resumed()]],
    ['retrying', [started(), attemptFailed()]],
  ])('fails at its deadline while it is %s', (status, events) => {
    const expired = outOfTime(status);
    const attempt = status === 'retrying' ? 2 : 1;
    given(job, asked, ...events)
      .when(expire(1_000))
      .emits(at(1_000, { ...expired, data: { ...expired.data, attempt } } as JobEvent));
  });

  test('does not before, and never without a deadline', () => {
    given(job, asked).when(expire(999)).isRefused('job-not-due');
    given(job, requested()).when(expire(1e12)).isRefused('job-not-due');
    given(job).when(expire(1_000)).isRefused('job-not-found');
  });

  test('has its end for good', () => {
    given(job, asked, started(), completed()).when(expire(1_000)).isRefused('job-finished');
    given(job, asked, started(), outOfTime('running')).when(complete()).isRefused('stale-run');
  });

  test('has a second again when it is begun anew', () => {
    const again = at(5_000, retryRequested());
    const events = [asked, started(), outOfTime('running'), again];
    given(job, ...events)
      .when(expire(5_999))
      .isRefused('job-not-due');
    given(job, ...events)
      .when(expire(6_000))
      .emits(at(6_000, outOfTime('requested')));
  });
});

describe('an approval', () => {
  const approval = { name: 'deploy', approvers: ['ada'] };
  const asked = [requested(), started(), paused({ kind: 'approval', approval })];
  const answer = (by: string, approved = true): JobCommand => ({
    type: 'AnswerApproval',
    at: AT,
    data: { approved, by, comment: 'go' },
  });
  const answered = resumed({
    kind: 'manual',
    payload: { approved: true, by: 'ada', comment: 'go' },
  });

  test('is given once, by one of its approvers', () => {
    given(job, ...asked)
      .when(answer('ada'))
      .emits(answered);
    given(job, ...asked, answered)
      .when(answer('ada'))
      .emitsNothing();
    given(job, ...asked, answered)
      .when(answer('ada', false))
      .isRefused('approval-not-asked');
    given(job, ...asked)
      .when(answer('eve'))
      .isRefused('not-an-approver');
  });

  test('may be given by anybody where nobody is named', () => {
    const open = paused({ kind: 'approval', approval: { name: 'deploy', approvers: null } });
    given(job, requested(), started(), open).when(answer('ada')).emits(answered);
  });

  test('is asked for by a job that waits for one', () => {
    given(job).when(answer('ada')).isRefused('job-not-found');
    given(job, requested(), started()).when(answer('ada')).isRefused('approval-not-asked');
    given(job, requested(), started(), paused())
      .when(answer('ada'))
      .isRefused('approval-not-asked');
    given(job, ...asked, cancelled)
      .when(answer('ada'))
      .isRefused('job-finished');
  });
});

describe('the code of a workflow', () => {
  const code = (version: string) => ({ version, fingerprint: `f${version}` });
  const startedWith = (version: string, runId = 'r1'): JobEvent =>
    ({
      ...started(runId),
      data: { runId, attempt: 1, workerId: 'w1', ...code(version) },
    }) as JobEvent;
  const stateOf = (...events: readonly JobEvent[]) => events.reduce(job.evolve, job.initialState);

  test('is recorded with each run', () => {
    const data = { runId: 'r1', workerId: 'w1', ...code('1') };
    given(job, requested()).when({ type: 'StartJob', at: AT, data }).emits(startedWith('1'));
  });

  test('is kept with each result, and so is the one that the job began with', () => {
    const state = stateOf(
      requested(),
      startedWith('1'),
      stepCompleted('a'),
      paused(),
      resumed(),
      startedWith('2', 'r2'),
      stepFailed('b', 1, 'r2'),
    );
    expect([...state.results.values()].map((result) => result.code?.version)).toEqual([
      '1',
      '1',
      '2',
    ]);
    expect(state.begunWith).toEqual(code('1'));
    expect(state.code).toEqual(code('2'));
  });

  test('of a job of which nothing is kept is the one that runs', () => {
    const state = stateOf(requested(), startedWith('1'), attemptFailed(), startedWith('2', 'r2'));
    expect(state.begunWith).toEqual(code('2'));
  });
});

describe('whatever is asked of a job', () => {
  const runId = fc.constantFrom('r1', 'r2', 'r3');
  const waitId = fc.constantFrom('wait:done#0', 'wait:done#1');
  const signalId = fc.constantFrom('s-1', 's-2', 's-3');
  const atMs = fc.constantFrom(0, 1_000, 100_000);
  const anyCommand: fc.Arbitrary<JobCommand> = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(requestJob(), cancel, supersede, retry(), retry('a')) },
    { weight: 3, arbitrary: fc.tuple(runId, atMs).map(([id, at]) => start(id, at)) },
    {
      weight: 4,
      arbitrary: fc.oneof(
        fc.tuple(fc.constantFrom('a', 'b'), runId).map(([name, id]) => completeStep(name, 1, id)),
        fc.tuple(waitId, runId).map(([id, by]) => pause({ id, until: later(500) }, by)),
        fc.tuple(signalId, waitId).map(([signal, id]) => resume(signalled(signal), id)),
        fc.tuple(waitId, atMs).map(([id, at]) => resume({ kind: 'timeout' }, id, at)),
        runId.map((id) => fail(id)),
        runId.map((id) => failStep('a', id)),
        runId.map((id) => retrySteps([{ name: 'b', retryAfterMs: null }], { runId: id })),
        atMs.map((at) => expire(at)),
        runId.map((id) => interrupt('lease-expired', id)),
        runId.map((id) => interrupt('released', id)),
      ),
    },
    { weight: 1, arbitrary: runId.map((id) => complete(id)) },
  );
  const anyCommands = fc.array(anyCommand, { maxLength: 60, size: 'max' });
  const settings = { numRuns: 3_000 };

  test('it ends at most once, unless a retry is requested between', () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        let open = true;
        for (const { type } of run(commands).log) {
          if (type === 'JobRetryRequested') open = true;
          if (!FINAL.has(type)) continue;
          expect(open).toBe(true);
          open = false;
        }
      }),
      settings,
    );
  });

  test('a command that is repeated at once adds nothing', () => {
    fc.assert(
      fc.property(anyCommands, anyCommand, (commands, command) => {
        const { state } = run(commands);
        const after = eventsOrNone(state, command).reduce(job.evolve, state);
        // A start, a signal or a retry may rightly be refused the second time, but never adds anything.
        expect(eventsOrNone(after, command)).toEqual([]);
      }),
      settings,
    );
  });

  test('runs do not overlap: one starts only when the one before has stopped', () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        let running: string | null = null;
        for (const event of run(commands).log) {
          if (event.type === 'JobStarted') {
            expect(running).toBeNull();
            running = event.data.runId;
          } else if (event.type === 'JobStepCompleted' || event.type === 'JobStepFailed') {
            expect(event.data.runId).toBe(running);
          } else if (event.type !== 'JobRequested') {
            running = null;
          }
        }
      }),
      settings,
    );
  });

  test('attempts never exceed the maximum, and a signal is used once', () => {
    fc.assert(
      fc.property(anyCommands, (commands) => {
        const { log } = run(commands);
        const used = log.flatMap((event) =>
          event.type === 'JobResumed' && event.data.outcome.kind === 'signal'
            ? [event.data.outcome.signalId]
            : [],
        );
        expect(new Set(used).size).toBe(used.length);
        for (const event of log) {
          if (event.type === 'JobStarted') {
            expect(event.data.attempt).toBeLessThanOrEqual(request().retry.maxAttempts);
          }
        }
      }),
      settings,
    );
  });
});

const FINAL = new Set<string>(FINAL_EVENTS);

function run(commands: readonly JobCommand[]) {
  let state = job.evolve(job.initialState, requested());
  const log: JobEvent[] = [];
  for (const command of commands) {
    const events = eventsOrNone(state, command);
    state = events.reduce(job.evolve, state);
    log.push(...events);
  }
  return { state, log };
}

function eventsOrNone(state: typeof job.initialState, command: JobCommand): readonly JobEvent[] {
  try {
    return job.decide(state, command);
  } catch (error) {
    if (error instanceof Rejected) return [];
    throw error;
  }
}
