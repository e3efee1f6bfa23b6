import { describe, expect, test } from 'vitest';

import { matches, takersOf } from '../../src/messaging/routing.ts';
import {
  QUEUES,
  TOPOLOGY,
  jobEvent,
  jobHint,
  signal,
  spool,
  waitRequest,
} from '../../src/messaging/topology.ts';

describe('a topic pattern', () => {
  test.each([
    ['a.b', 'a.b', true],
    ['a.b', 'a.b.c', false],
    ['a.b', 'a', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['*.b', 'a.b', true],
    ['#', '', true],
    ['#', 'a.b.c', true],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['a.#', 'b.a', false],
    ['#.c', 'a.b.c', true],
    ['a.#.c', 'a.c', true],
    ['a.#.c', 'a.b.b.c', true],
    ['a.#.c', 'a.b', false],
  ])('%s and the key %s', (pattern, routingKey, expected) => {
    expect(matches(pattern, routingKey)).toBe(expected);
  });
});

describe('the topology', () => {
  const queuesFor = (destination: { exchange: string; routingKey: string }): string[] =>
    takersOf(TOPOLOGY, destination).map(({ name }) => name);

  test('each message of ours goes to one queue', () => {
    expect(queuesFor(jobHint('code-review', 'new'))).toEqual([QUEUES.jobs]);
    expect(queuesFor(jobHint('my.own.workflow', 'new'))).toEqual([QUEUES.jobs]);
    expect(queuesFor(jobHint('code-review', 'resumed'))).toEqual([QUEUES.resumedJobs]);
    expect(queuesFor(waitRequest('ast'))).toEqual([QUEUES.ast]);
    expect(queuesFor(signal('deploy.finished'))).toEqual([QUEUES.signals]);
    expect(queuesFor(spool)).toEqual([QUEUES.spool]);
  });

  test('the events of jobs are for others, who bind queues of their own', () => {
    expect(queuesFor(jobEvent('JobCompleted'))).toEqual([]);
  });
});
