import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import { matchFile } from '../../src/workflows/code-review/ast/match.ts';
import { loadRules } from '../../src/workflows/code-review/ast/rules.ts';
import { type Language, languageOf } from '../../src/workflows/code-review/languages.ts';
import { CASES } from './rule-cases.ts';

const folder = fileURLToPath(new URL('../../rules', import.meta.url));
const rules = await loadRules(folder);

const EVERY_LINE = [[1, 10_000]] as const;

function foundBy(id: string, extension: string, text: string): readonly number[] {
  const path = `file.${extension}`;
  const file = { path, language: languageOf(path) as Language, text, added: EVERY_LINE };
  return matchFile(
    file,
    rules.filter((rule) => rule.id === id),
  ).map(({ line }) => line);
}

test('every rule has a case, and every case a rule', () => {
  expect(Object.keys(CASES).toSorted()).toEqual(rules.map(({ id }) => id).toSorted());
  expect(rules.length).toBeGreaterThanOrEqual(12);
});

test('a rule is in the file of its name', () => {
  expect(readdirSync(folder).toSorted()).toEqual(rules.map(({ id }) => `${id}.yml`).toSorted());
});

describe.each(Object.entries(CASES))('%s', (id, { extensions, finds, leaves }) => {
  const of = extensions ?? ['js', 'ts', 'tsx'];

  test.each(of.flatMap((extension) => finds.map((text) => [extension, text] as const)))(
    'finds in .%s: %s',
    (extension, text) => {
      expect(foundBy(id, extension, text)).toEqual([1]);
    },
  );

  test.each(of.flatMap((extension) => leaves.map((text) => [extension, text] as const)))(
    'leaves alone in .%s: %s',
    (extension, text) => {
      expect(foundBy(id, extension, text)).toEqual([]);
    },
  );
});

test('what is wrong in JavaScript only is not looked for elsewhere', () => {
  expect(foundBy('no-explicit-any', 'js', 'const any = 1;')).toEqual([]);
  expect(foundBy('no-eval', 'css', 'a { color: eval(1) }')).toEqual([]);
});
