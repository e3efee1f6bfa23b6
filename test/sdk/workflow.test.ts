import { describe, expect, test } from 'vitest';

import {
  NonRetriable,
  RetryAfter,
  type Trigger,
  type TriggerMatcher,
  type WorkflowDefinition,
  defineWorkflow,
  matches,
} from '../../src/sdk/index.ts';
import type * as Errors from '../../src/sdk/errors.ts';
import { isNonRetriable, isRetryAfter } from '../../src/sdk/errors.ts';
import { trigger as pullRequest } from '../support/jobs.ts';

const push: Trigger = {
  ...pullRequest,
  event: 'push',
  action: 'updated',
  pullRequest: null,
  repository: null,
  sender: null,
};

const draft: Trigger = {
  ...pullRequest,
  pullRequest: {
    number: 1,
    title: null,
    url: null,
    headRepository: null,
    baseBranch: 'main',
    baseSha: null,
    labels: ['y', 'z'],
    draft: true,
  },
};

describe('matches', () => {
  test.each<[string, TriggerMatcher[], Trigger, boolean]>([
    ['no matcher', [], pullRequest, false],
    ['an empty matcher', [{}], pullRequest, true],
    ['an equal field', [{ event: 'pull_request' }], pullRequest, true],
    ['another value', [{ event: 'push' }], pullRequest, false],
    ['a list that holds it', [{ action: ['opened', 'reopened'] }], pullRequest, true],
    ['a list without it', [{ action: ['closed'] }], pullRequest, false],
    ['an empty list', [{ action: [] }], pullRequest, false],
    [
      'all fields at once',
      [{ event: 'pull_request', repository: 'octo/repo', baseBranch: 'main' }],
      pullRequest,
      true,
    ],
    [
      'one field of several that differs',
      [{ event: 'pull_request', repository: 'octo/other' }],
      pullRequest,
      false,
    ],
    ['one matcher of several', [{ event: 'push' }, { sender: 'octocat' }], pullRequest, true],
    ['a field that the trigger has not', [{ baseBranch: 'main' }], push, false],
    ['a repository that the trigger has not', [{ repository: 'octo/repo' }], push, false],
    ['a label that it has', [{ label: ['x', 'y'] }], draft, true],
    ['a label that it has not', [{ label: 'x' }], draft, false],
    ['a draft', [{ draft: true }], draft, true],
    ['a draft, where none is wanted', [{ draft: false }], draft, false],
    ['a host that does not say whether it is a draft', [{ draft: false }], pullRequest, true],
    ['no pull request, so no draft either', [{ draft: false }], push, false],
    ['a path', [{ path: ['x', 'src/*.ts'] }], { ...push, paths: ['a', 'src/b.ts'] }, true],
    ['no such path', [{ path: 'src/*.ts' }], { ...push, paths: ['a', 'src/b/c.ts'] }, false],
    [
      'paths that are not all named',
      [{ path: 'x' }],
      { ...push, paths: [], morePaths: true },
      true,
    ],
    ['paths that are not named', [{ path: 'x' }], push, true],
    ['part of a value', [{ repository: 'octo' }], pullRequest, false],
  ])('%s', (_, matchers, trigger, expected) => {
    expect(matches(matchers, trigger)).toBe(expected);
  });
});

describe('defineWorkflow', () => {
  const run = async (): Promise<null> => null;

  test('fills in the defaults', () => {
    expect(defineWorkflow({ name: 'hello', run })).toEqual({
      name: 'hello',
      on: [],
      concurrency: null,
      priority: 5,
      rateLimit: null,
      schedules: [],
      timeouts: { attemptMs: null, jobMs: null },
      version: '1',
      retry: { maxAttempts: 5, firstDelayMs: 1_000, maxDelayMs: 300_000 },
      run,
    });
  });

  test('keeps what is given, and the defaults beside it', () => {
    const concurrency = { key: () => 'k', strategy: 'queue' } as const;
    expect(
      defineWorkflow({
        name: 'a.b-1',
        on: [{ event: 'push' }],
        concurrency,
        priority: 0,
        retry: { maxAttempts: 1 },
        run,
      }),
    ).toMatchObject({
      on: [{ event: 'push' }],
      concurrency,
      priority: 0,
      retry: { maxAttempts: 1, firstDelayMs: 1_000 },
    });
  });

  test.each<[string, object, string]>([
    ['a name with a capital', { name: 'Hello' }, 'Workflow "Hello": a name is'],
    ['no name', { name: undefined }, 'a name is'],
    ['no code', { run: undefined }, 'run is a function'],
    ['a priority of 10', { priority: 10 }, 'priority is a whole number from 0 to 9, not 10'],
    ['no attempt', { retry: { maxAttempts: 0 } }, 'retry.maxAttempts'],
    ['an endless delay', { retry: { maxDelayMs: Infinity } }, 'retry delays'],
    ['a delay below the first', { retry: { firstDelayMs: 9, maxDelayMs: 1 } }, 'retry delays'],
    ['a matcher that is no list', { on: { event: 'push' } }, 'on is a list'],
    ['a misspelt field', { on: [{ events: 'push' }] }, 'on has no field "events"'],
    ['a field that is no text', { on: [{ event: undefined }] }, 'on.event is a text'],
    [
      'an unknown strategy',
      { concurrency: { key: () => 'k', strategy: 'latest' } },
      'concurrency.strategy',
    ],
    ['a key that is no function', { concurrency: { key: 'k', strategy: 'queue' } }, 'a function'],
  ])('refuses %s', (_, change, message) => {
    const definition = { name: 'hello', run, ...change } as WorkflowDefinition;
    expect(() => defineWorkflow(definition)).toThrow(TypeError);
    expect(() => defineWorkflow(definition)).toThrow(message);
  });
});

describe('errors', () => {
  test('are known by their mark, also as a subclass', () => {
    class Gone extends NonRetriable {
      override readonly name = 'Gone';
    }
    expect(isNonRetriable(new Gone('x'))).toBe(true);
    expect(isNonRetriable(new Error('x'))).toBe(false);
    expect(isNonRetriable(null)).toBe(false);
    expect(isRetryAfter(new RetryAfter('x', 1))).toBe(true);
    expect(isRetryAfter({ name: 'RetryAfter', delayMs: 1 })).toBe(false);
  });

  test('are known from another copy of this package', async () => {
    // Another address is another copy, as with a workflow's own node_modules.
    const copy = (await import(
      `${import.meta.resolve('../../src/sdk/errors.ts')}?copy`
    )) as typeof Errors;
    expect(copy.NonRetriable).not.toBe(NonRetriable);
    expect(isNonRetriable(new copy.NonRetriable('x'))).toBe(true);
    expect(isRetryAfter(new copy.RetryAfter('x', 1))).toBe(true);
  });

  test.each([-1, 0.5, Number.NaN, Infinity])('a RetryAfter of %s ms is a mistake', (delayMs) => {
    expect(() => new RetryAfter('x', delayMs)).toThrow(RangeError);
  });
});
