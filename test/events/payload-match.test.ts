import { expect, test } from 'vitest';

import { isAwaited, matchesPayload } from '../../src/events/payload-match.ts';

const payload = { check: { sha: 'abc', passed: true }, commits: [{ id: 7 }], nothing: null };

test.each([
  ['no match at all', undefined],
  ['an empty match', {}],
  ['a path', { 'check.sha': 'abc' }],
  ['several paths', { 'check.sha': 'abc', 'check.passed': true }],
  ['a place in a list', { 'commits.0.id': 7 }],
  ['null that is there', { nothing: null }],
])('%s lets the payload through', (_, match) => {
  expect(matchesPayload(match, payload)).toBe(true);
});

test.each([
  ['another value', { 'check.sha': 'abd' }],
  ['another type', { 'commits.0.id': '7' }],
  ['one path of two that differs', { 'check.sha': 'abc', 'check.passed': false }],
  ['a path that leads nowhere', { 'check.sha.length': 3 }],
  ['a null that is not there', { absent: null }],
  ['what every object inherits', { 'constructor.name': 'Object' }],
  ['what every list has beside its items', { 'commits.length.x': 1 }],
])('%s does not', (_, match) => {
  expect(matchesPayload(match, payload)).toBe(false);
});

test('a payload that is no object has no paths', () => {
  expect(matchesPayload({ a: 1 }, null)).toBe(false);
  expect(matchesPayload({ a: 1 }, 'text')).toBe(false);
});

test.each([
  ['its name', [{ event: 'checks', key: null }], true],
  ['another name', [{ event: 'merged', key: null }], false],
  ['its key', [{ event: 'checks', key: 'k' }], true],
  ['another key', [{ event: 'checks', key: 'j' }], false],
  ['a payload that matches', [{ event: 'checks', key: 'k', match: { 'check.sha': 'abc' } }], true],
  ['a payload that differs', [{ event: 'checks', key: 'k', match: { 'check.sha': 'b' } }], false],
  [
    'one of several',
    [
      { event: 'merged', key: null },
      { event: 'checks', key: null },
    ],
    true,
  ],
  ['nothing, as a sleep', [], false],
])('a wait for %s', (_, on, ends) => {
  expect(isAwaited(on, { event: 'checks', key: 'k', payload })).toBe(ends);
});
