import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import { isCommitId, isRef } from '../../src/workflows/code-review/git/commit.ts';
import { GitRepository, temporaryFolder } from './support/git-repository.ts';
import { review } from './support/review.ts';

const folder = temporaryFolder();
afterAll(folder.remove);
const repo = new GitRepository(join(folder.path, 'repository'));
const headSha = repo.commit({ 'a.ts': 'debugger;\n' });
const options = {
  dataDir: join(folder.path, 'data'),
  cloneAllow: [pathToFileURL(folder.path).href],
};
const proof = join(folder.path, 'proof');

const HOSTILE = [
  `--upload-pack=touch ${proof}`,
  `--exec=touch ${proof}`,
  `-u${proof}`,
  `--output=${proof}`,
  `$(touch ${proof})`,
  `; touch ${proof}`,
  `ext::sh -c touch% ${proof}`,
  'HEAD',
  '@{-1}',
  'main:a.ts',
  '../../x',
  'a..b',
  '',
  ' ',
  'a b',
  '\0',
  'main\n',
];

describe('arguments that strangers chose', () => {
  test.each(HOSTILE)('as a commit: %j', async (text) => {
    for (const change of [
      { headSha: text, baseSha: headSha },
      { headSha, baseSha: text },
    ]) {
      await expect(review({ cloneUrl: repo.cloneUrl, ...change }, options)).rejects.toMatchObject({
        name: 'NonRetriable',
        message: expect.stringContaining('is not a commit id') as string,
      });
    }
    expect(existsSync(proof)).toBe(false);
  });

  test.each(HOSTILE.filter((text) => text !== 'HEAD'))('as a branch: %j', async (text) => {
    for (const change of [{ ref: text }, { baseBranch: text }]) {
      const given = { cloneUrl: repo.cloneUrl, headSha, baseSha: null, provider: 'x', ...change };
      await expect(review(given, options)).rejects.toMatchObject({ name: 'NonRetriable' });
    }
    expect(existsSync(proof)).toBe(false);
  });

  test('a commit id is 12 to 40, or 64, of 0-9 and a-f', () => {
    const good = [12, 13, 40, 64].map((length) => 'a'.repeat(length));
    const bad = [0, 7, 11, 41, 63, 65].map((length) => 'a'.repeat(length));
    expect(good.every(isCommitId)).toBe(true);
    expect([...bad, 'A'.repeat(40), 'g'.repeat(40), `${'a'.repeat(39)}\n`].some(isCommitId)).toBe(
      false,
    );
  });

  test('a ref is what git takes for one', () => {
    for (const ref of [
      'refs/heads/main',
      'refs/pull/7/head',
      'refs/heads/ünï/日本',
      'refs/heads/a@b',
    ]) {
      expect([ref, isRef(ref)]).toEqual([ref, true]);
      repo.git('check-ref-format', ref);
    }
    for (const ref of [
      'main',
      'refs/heads/',
      'refs/heads//a',
      'refs/heads/-a',
      'refs/heads/a.lock/b',
    ]) {
      expect([ref, isRef(ref)]).toEqual([ref, false]);
    }
  });
});
