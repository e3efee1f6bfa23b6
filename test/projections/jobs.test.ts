import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import * as a from '../support/jobs.ts';
import { given } from './given.ts';
import { Ledger } from './support.ts';

let ledger: Ledger;
beforeAll(async () => {
  ledger = await Ledger.open();
});
afterAll(() => ledger.close());

const running = [a.requested(), a.started()];
const steps = [a.stepCompleted('one'), a.stepCompleted('two'), a.stepCompleted('three')];

describe('a row of read.jobs', () => {
  test('has a column for all that is filtered, sorted or searched', async () => {
    const concurrency = { key: 'octo/repo#7', strategy: 'supersede' } as const;
    await given(
      ledger,
      a.requested({ concurrency, deliveryId: 'row-1', priority: 7 }),
      a.started(),
      a.failed(1),
    ).expectJob({
      workflow: 'review',
      status: 'FAILED',
      provider: 'github',
      source: 'github',
      repository: 'octo/repo',
      pull_request: 7,
      title: 'Add a thing',
      ref: 'feature',
      head_sha: 'a'.repeat(40),
      sender: 'octocat',
      concurrency_key: 'octo/repo#7',
      priority: 7,
      attempt: 1,
      max_attempts: 3,
      requested_at: a.AT,
      started_at: a.AT,
      finished_at: a.AT,
      updated_at: a.AT,
      duration_ms: '0',
      error_message: 'boom',
      worker_id: null,
      delivery_id: 'row-1',
      version: 3,
    });
  });

  test('holds the whole view but its steps', async () => {
    await given(ledger, ...running, ...steps).expectJob({
      view: expect.objectContaining({
        status: 'RUNNING',
        trigger: a.trigger,
        version: 5,
        steps: [],
      }),
    });
  });

  test('measures from the first start to the end, and nothing while the job is open', async () => {
    const end = { ...a.completed(), at: new Date(a.AT.getTime() + 90_061) };
    await given(ledger, ...running).expectJob({ duration_ms: null });
    await given(ledger, ...running, a.attemptFailed(), a.started('r2', 2), end).expectJob({
      duration_ms: '90061',
    });
    await given(ledger, a.requested(), a.cancelled).expectJob({ duration_ms: null });
  });

  test('takes a job that is about no repository and no pull request', async () => {
    const trigger = {
      ...a.trigger,
      repository: null,
      pullRequest: null,
      ref: null,
      headSha: null,
      sender: null,
    };
    await given(ledger, a.requested({ trigger })).expectJob({
      repository: null,
      pull_request: null,
      title: null,
      head_sha: null,
    });
  });

  test('takes text that Postgres cannot hold, and keeps it whole in the view', async () => {
    const title = 'NUL \u0000, half a pair \ud800, "quotes", \\ and {braces}';
    const trigger = {
      ...a.trigger,
      pullRequest: a.trigger.pullRequest && { ...a.trigger.pullRequest, title },
    };
    await given(ledger, a.requested({ trigger })).expectJob({
      title: 'NUL \uFFFD, half a pair \uFFFD, "quotes", \\ and {braces}',
      view: expect.objectContaining({ trigger }),
    });
  });
});

describe('the steps of a job', () => {
  test('come in the order of completion', async () => {
    await given(ledger, ...running, ...steps).expectSteps('one', 'two', 'three');
  });

  test('go when a completed job is retried', async () => {
    await given(ledger, ...running, ...steps, a.completed(), a.retryRequested()).expectSteps();
  });

  test('stay when a failed job is retried', async () => {
    await given(ledger, ...running, ...steps, a.failed(), a.retryRequested()).expectSteps(
      'one',
      'two',
      'three',
    );
  });

  test('that failed are there until the job is begun anew', async () => {
    const failing = [...running, ...steps, a.stepFailed('four'), a.stepCompleted('five')];
    await given(ledger, ...failing).expectSteps('one', 'two', 'three', 'four', 'five');
    const place = { name: 'six', startedAt: a.AT.toISOString() };
    const failed = [...failing, a.failed(1, a.failure(), place)];
    await given(ledger, ...failed).expectSteps('one', 'two', 'three', 'four', 'five', 'six');
    await given(ledger, ...failed, a.retryRequested()).expectSteps('one', 'two', 'three', 'five');
  });

  test('after a retry from one are those before it and the new ones', async () => {
    await given(
      ledger,
      ...running,
      ...steps,
      a.completed(),
      a.retryRequested('two'),
      a.started('r2'),
      a.stepCompleted('two', 'again', 'r2'),
    ).expectSteps('one', 'two');
  });
});
