import { chownSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, expect, test } from 'vitest';

import { makeSampleRepository } from '../../src/workflows/code-review/sample-repository.ts';
import { sampleDirectory } from '../../src/workflows/code-review/sample-directory.ts';
import { temporaryFolder } from './support/git-repository.ts';
import { review } from './support/review.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

test('the sample is the same wherever it is made', async () => {
  const one = await makeSampleRepository(join(folder.path, 'one'));
  const other = await makeSampleRepository(join(folder.path, 'other'));

  expect(one).toEqual({
    cloneUrl: `file://${folder.path}/one/shop.git`,
    baseSha: 'eaa6352a85e8c37e9e904ea6b0afea7340c15bc8',
    headSha: '475548e4c9dcc4f6b90329bb64f4cc6ce9fb0c28',
    baseBranch: 'main',
    headBranch: 'checkout',
    number: 7,
    title: 'Let customers check out',
  });
  expect({ ...other, cloneUrl: '' }).toEqual({ ...one, cloneUrl: '' });
});

test('the sample is made once, and again when it is damaged', async () => {
  const directory = join(folder.path, 'again');
  const first = await makeSampleRepository(directory);
  expect(await makeSampleRepository(directory)).toEqual(first);
  rmSync(join(directory, 'shop.git/objects'), { recursive: true });
  expect(await makeSampleRepository(directory)).toEqual(first);
  expect(readdirSync(directory)).toEqual(['shop.git']);
});

test('several processes may make it at once', async () => {
  const directory = join(folder.path, 'race');
  const made = await Promise.all(Array.from({ length: 4 }, () => makeSampleRepository(directory)));
  expect(new Set(made.map(({ headSha }) => headSha)).size).toBe(1);
  expect(readdirSync(directory)).toEqual(['shop.git']);
});

test('the shipped rules find faults in the sample, with no line in CLONE_ALLOW', async () => {
  const dataDir = join(folder.path, 'data');
  const { cloneUrl, headSha, baseSha } = await makeSampleRepository(sampleDirectory(dataDir));

  const found = await review({ cloneUrl, headSha, baseSha }, { dataDir, cloneAllow: [] });

  expect(found.findings.map(({ file, line, rule }) => `${file}:${String(line)} ${rule}`)).toEqual([
    'src/checkout.ts:5 no-hardcoded-secret',
    'src/checkout.ts:7 no-explicit-any',
    'src/checkout.ts:8 no-console-log',
    'src/checkout.ts:9 no-sql-injection',
    'src/checkout.ts:10 no-async-for-each',
    'src/checkout.ts:15 no-empty-catch',
    'src/checkout.ts:16 no-shell-injection',
    'src/checkout.ts:17 no-predictable-token',
    'src/prices.ts:11 no-loose-equality',
    'src/prices.ts:11 no-throw-literal',
    'src/prices.ts:12 parse-int-without-radix',
    'src/widget.js:2 no-debugger',
    'src/widget.js:3 no-html-injection',
  ]);
});

test('root may use a sample that belongs to another user', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('only root can give files away');
  const dataDir = join(folder.path, 'given-away');
  const directory = sampleDirectory(dataDir);
  const { cloneUrl, headSha, baseSha } = await makeSampleRepository(directory);
  for (const path of [dataDir, directory, join(directory, 'shop.git')])
    chownSync(path, 65_534, 65_534);

  expect((await makeSampleRepository(directory)).headSha).toBe(headSha);
  const found = await review({ cloneUrl, headSha, baseSha }, { dataDir });
  expect(found.findings.length).toBeGreaterThan(5);
  expect(existsSync(join(dataDir, 'repositories'))).toBe(true);
});
