import { describe, expect, test } from 'vitest';

import { defineWorkflow, lineOf } from '../../src/sdk/index.ts';

const key = (): string => 'k';
const defined = (change: object) =>
  defineWorkflow({ name: 'hello', run: () => Promise.resolve(), ...change });

describe('a definition', () => {
  test.each([
    { concurrency: { key, strategy: 'limit', limit: 5 } },
    { concurrency: { key, strategy: 'debounce', quietMs: 1_000, maxWaitMs: 60_000 } },
    { rateLimit: { limit: 1, perMs: 60_000 } },
    { rateLimit: { limit: 1, perMs: 60_000, key: () => null } },
    { schedules: [{ cron: '0 3 * * *' }, { cron: '0 3 * * *', name: 'again' }] },
  ])('takes %o', (change) => {
    expect(defined(change)).toMatchObject(change);
  });

  test.each([
    [{ concurrency: { key, strategy: 'limit' } }, 'concurrency.limit is a whole number from 1'],
    [{ concurrency: { key, strategy: 'limit', limit: 0 } }, 'not 0'],
    [{ concurrency: { key, strategy: 'debounce', quietMs: 10 } }, 'concurrency.quietMs'],
    [{ concurrency: { key, strategy: 'debounce', quietMs: 10, maxWaitMs: 9 } }, 'not below'],
    [{ concurrency: { key, strategy: 'toString' } }, 'is supersede, queue, limit, debounce'],
    [{ rateLimit: { limit: 0.5, perMs: 1 } }, 'rateLimit.limit is a whole number'],
    [{ rateLimit: { limit: 1, perMs: 0 } }, 'rateLimit.perMs'],
    [{ rateLimit: { limit: 1, perMs: 1, key: 'k' } }, 'rateLimit.key is a function'],
    [{ schedules: { cron: '* * * * *' } }, 'schedules is a list'],
    [{ schedules: [{ cron: 7 }] }, 'schedules[].cron'],
    [{ schedules: [{ cron: '* * * * *', timeZone: '' }] }, 'schedules[].timeZone'],
    [{ schedules: [{ cron: '0 3 * * *' }, { cron: '0 3 * * *' }] }, 'two schedules are called'],
  ])('with %o is refused', (change, message) => {
    expect(() => defined(change)).toThrow(TypeError);
    expect(() => defined(change)).toThrow(message);
  });
});

test('a line has the fields of its strategy and no others', () => {
  const extra = { colour: 'red', key };
  expect(lineOf({ strategy: 'queue', ...extra } as never, 'x')).toEqual({
    key: 'x',
    strategy: 'queue',
  });
  expect(lineOf({ strategy: 'limit', limit: 2, ...extra } as never, 'x')).toEqual({
    key: 'x',
    strategy: 'limit',
    limit: 2,
  });
});
