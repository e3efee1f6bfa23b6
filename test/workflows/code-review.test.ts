import { chmodSync, chownSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import type { CodeReviewOptions } from '../../src/workflows/index.ts';
import { GitRepository, temporaryFolder } from './support/git-repository.ts';
import { review } from './support/review.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

const options: CodeReviewOptions = {
  dataDir: join(folder.path, 'data'),
  cloneAllow: [pathToFileURL(folder.path).href],
};

let repositories = 0;
function repository(): GitRepository {
  repositories += 1;
  return new GitRepository(join(folder.path, `repository-${String(repositories)}`));
}

const places = (findings: readonly { file: string; line: number; rule: string }[]): string[] =>
  findings.map(({ file, line, rule }) => `${file}:${String(line)} ${rule}`);

describe('a review', () => {
  test('gives file, line, column, rule and message of what the added lines have', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'src/a.ts': 'export const a = 1;\neval(old);\n' });
    repo.branch('feature');
    const headSha = repo.commit({
      'src/a.ts': 'export const a = 1;\neval(old);\n\n  eval(text);\n',
      'README.md': 'eval(text)\n',
    });

    expect(await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options)).toEqual({
      repository: 'acme/shop',
      baseSha,
      headSha,
      filesChanged: 2,
      filesAnalysed: 1,
      findings: [
        {
          file: 'src/a.ts',
          line: 4,
          column: 3,
          rule: 'no-eval',
          severity: 'error',
          message: 'Text is run as code here; whoever controls the text controls the program.',
        },
      ],
    });
  });

  test('compares with where the head left its base, not with what the base has become', async () => {
    const repo = repository();
    const start = repo.commit({ 'a.ts': 'eval(old);\n', 'b.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'b.ts': '1;\nparseInt(text);\n' });
    repo.branch('main', start);
    const baseSha = repo.commit({ 'a.ts': 'run(old);\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(found.baseSha).toBe(start);
    expect(places(found.findings)).toEqual(['b.ts:2 parse-int-without-radix']);
  });

  test('takes the base branch where the host names no base commit', async () => {
    const repo = repository();
    const start = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, provider: 'gitlab' }, options);

    expect(found.baseSha).toBe(start);
    expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
  });

  test('resolves commit ids of 12 characters', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
    repo.branch('main', baseSha);
    repo.commit({ 'b.ts': '2;\n' });

    const change = {
      cloneUrl: repo.cloneUrl,
      headSha: headSha.slice(0, 12),
      baseSha: baseSha.slice(0, 12),
      provider: 'bitbucket-cloud',
    };
    const found = await review(change, options);

    expect([found.headSha, found.baseSha]).toEqual([headSha, baseSha]);
    expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
  });

  test('finds a base that was pushed over', async () => {
    const repo = repository();
    const start = repo.commit({ 'a.ts': '1;\n' });
    const baseSha = repo.commit({ 'b.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
    repo.branch('main', start);
    repo.commit({ 'c.ts': 'debugger;\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
  });

  test.each([40, 12])(
    'takes the base branch for a base of %i characters that is gone',
    async (length) => {
      const repo = repository();
      const start = repo.commit({ 'a.ts': '1;\n' });
      repo.branch('feature');
      const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
      const baseSha = 'f'.repeat(length);

      const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

      expect(found.baseSha).toBe(start);
      expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
    },
  );

  test('compares two commits that have nothing in common', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.git('checkout', '--quiet', '--orphan', 'feature');
    const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
  });

  test('has nothing to say about equal commits', async () => {
    const repo = repository();
    const headSha = repo.commit({ 'a.ts': 'debugger;\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha: headSha }, options);

    expect(found).toMatchObject({ filesChanged: 0, filesAnalysed: 0, findings: [] });
  });

  test('reads renamed, moved, deleted, binary and linked files for what they are', async () => {
    const repo = repository();
    const lines = Array.from({ length: 20 }, (_, index) => `eval(${String(index)});\n`).join('');
    const baseSha = repo.commit({
      'old.js': lines,
      'gone.ts': 'eval(1);\n',
      'same.ts': 'eval(1);\n',
    });
    repo.branch('feature');
    repo.link('link.ts', 'debugger;');
    const headSha = repo.commit({
      'old.js': null,
      'gone.ts': null,
      'same.ts': null,
      'moved/same.ts': 'eval(1);\n',
      'renamed.ts': `${lines}debugger;\n`,
      'binary.ts': Buffer.from('debugger;\n\0\0\0\n'),
    });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['renamed.ts:21 no-debugger']);
  });

  test('reads a file that was a link, and not a link that was a file', async () => {
    const repo = repository();
    repo.link('file.ts', 'elsewhere');
    const baseSha = repo.commit({ 'link.ts': '1;\n' });
    repo.branch('feature');
    rmSync(join(repo.path, 'file.ts'));
    rmSync(join(repo.path, 'link.ts'));
    repo.link('link.ts', 'debugger;');
    const headSha = repo.commit({ 'file.ts': 'debugger;\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['file.ts:1 no-debugger']);
  });

  test('takes any name for a file', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const names = [
      '-rf.ts',
      'a b.ts',
      'new\nline.ts',
      'quote".ts',
      "single'.ts",
      'back\\slash.ts',
      'diff --git a.ts',
      'tab\t.ts',
      'ünïcode-日本-😀.ts',
      ':(exclude)x.ts',
      '$(touch x).ts',
    ];
    const headSha = repo.commit(Object.fromEntries(names.map((name) => [name, 'debugger;\n'])));

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(found.findings.map(({ file }) => file).toSorted()).toEqual(names.toSorted());
  });

  test('is not fooled by content that looks like a patch', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const text = [
      '/*',
      '@@ -1 +900,5 @@',
      'index 1..2',
      'diff --git a/a.ts b/a.ts',
      '*/',
      'debugger;',
    ];
    const headSha = repo.commit({ 'a.ts': `1;\r\n${text.join('\r\n')}` });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['a.ts:7 no-debugger']);
  });

  test('counts columns in UTF-16 units', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': '1;\n"é😀"; eval(text);\n' });

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(found.findings).toMatchObject([{ line: 2, column: 8 }]);
  });

  test('opens a repository that belongs to another user', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root can give files away');
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
    chmodSync(folder.path, 0o755);
    for (const path of [repo.path, join(repo.path, '.git')]) chownSync(path, 65_534, 65_534);

    const found = await review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, options);

    expect(places(found.findings)).toEqual(['a.ts:2 no-debugger']);
  });

  test('leaves no lock and no half-made copy behind', async () => {
    const left = readdirSync(join(folder.path, 'data', 'repositories'));
    expect(left.filter((name) => !name.endsWith('.git'))).toEqual([]);
  });
});

describe('what cannot be analysed', () => {
  test('is named with the reason', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({
      'long.ts': `${'f(1);'.repeat(1100)}\n`,
      'large.ts': 'f(1);\n'.repeat(20_000),
      'fine.ts': 'debugger;\n',
    });
    const limits = { fileBytes: 100_000 };

    const found = await review(
      { cloneUrl: repo.cloneUrl, headSha, baseSha },
      { ...options, limits },
    );

    expect(found.skipped).toEqual([
      { file: 'large.ts', reason: 'it is binary, or larger than 100000 bytes' },
      { file: 'long.ts', reason: 'it has a line of more than 5000 characters' },
    ]);
    expect(places(found.findings)).toEqual(['fine.ts:1 no-debugger']);
  });

  test('is a change that is too large', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const headSha = repo.commit({ 'a.ts': 'f(1);\n'.repeat(10_000) });
    const limits = { diffBytes: 10_000 };

    await expect(
      review({ cloneUrl: repo.cloneUrl, headSha, baseSha }, { ...options, limits }),
    ).rejects.toMatchObject({
      name: 'NonRetriable',
      message: expect.stringContaining('too large to review') as string,
    });
  });

  test('is counted where there is too much of it', async () => {
    const repo = repository();
    const baseSha = repo.commit({ 'a.ts': '1;\n' });
    repo.branch('feature');
    const files = {
      'b.ts': 'debugger;\ndebugger;\n',
      'c.ts': 'debugger;\n',
      'd.ts': 'debugger;\n',
    };
    const headSha = repo.commit(files);
    const limits = { files: 2, findings: 2 };

    const found = await review(
      { cloneUrl: repo.cloneUrl, headSha, baseSha },
      { ...options, limits },
    );

    expect(places(found.findings)).toEqual(['b.ts:1 no-debugger', 'b.ts:2 no-debugger']);
    expect(found.truncated).toEqual({ files: 1, findings: 1 });
  });
});
