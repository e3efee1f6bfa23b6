import { describe, expect, test } from 'vitest';

import { isFound, jobWords, searchTerms } from '../../src/events/job-words.ts';
import type { JobView } from '../../src/events/job-view.ts';

const view = {
  id: '0190A1b2-3c4d',
  trigger: {
    repository: { fullName: 'Octo/my-repo' },
    pullRequest: { title: 'Größere Zahl: 日本 \0x1' },
    ref: 'refs/heads/main',
    sender: 'sealed:0190a1b2-0000-4000-8000-000000000000:abcdef',
    headSha: 'ABCDEF0123',
  },
  error: { message: 'Exit code 7' },
} as unknown as JobView;

const found = (search: string): boolean =>
  searchTerms(search).every((term) => isFound(term, jobWords(view)));

describe('a job is found by', () => {
  test.each([
    'octo/my-repo',
    'MY',
    'repo main',
    'größ',
    '日本',
    'x1',
    'refs/heads/main',
    'exit 7',
    '0190a1b2-3c',
    'abcdef0',
    '"exit"',
  ])('%s', (search) => {
    expect(found(search)).toBe(true);
  });
  test.each(['cto', 'repo zebra', '3c4d', '0000', 'cdef', 'sealed'])('but not by %s', (search) => {
    expect(found(search)).toBe(false);
  });
});

test('punctuation alone is no term, and there are ten at most', () => {
  expect(searchTerms(' _ -- %')).toEqual([]);
  expect(searchTerms('a b c d e f g h i j k')).toHaveLength(10);
});
