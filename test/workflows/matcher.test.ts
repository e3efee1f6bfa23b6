import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import { matchFile, type SourceFile } from '../../src/workflows/code-review/ast/match.ts';
import { matchFiles } from '../../src/workflows/code-review/ast/matcher.ts';
import { loadRules } from '../../src/workflows/code-review/ast/rules.ts';
import { temporaryFolder } from './support/git-repository.ts';
import { compileMatcher } from './support/matcher-program.ts';

const folder = temporaryFolder();
const { program, remove } = compileMatcher();
afterAll(() => {
  folder.remove();
  remove();
});

const SHIPPED = fileURLToPath(new URL('../../rules', import.meta.url));
const signal = new AbortController().signal;

let folders = 0;
function rulesOf(files: Readonly<Record<string, string>>): string {
  folders += 1;
  const path = join(folder.path, String(folders));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const source = (path: string, text: string): SourceFile => ({
  path,
  language: 'TypeScript',
  text,
  added: [[1, 100_000]],
});

describe('a process of its own', () => {
  test('finds what this process finds', async () => {
    const files = [
      source('a.ts', 'eval(text);\ndebugger;\n'),
      source('b.ts', 'f();\n'),
      source('c.ts', 'const a: any = "é😀";'),
    ];
    const work = { rulesDirectory: SHIPPED, files };

    const apart = await matchFiles(work, { fileMs: 10_000, signal, program });

    expect(apart).toEqual(await matchFiles(work, { fileMs: 10_000, signal }));
    expect(apart.map((each) => each.length)).toEqual([2, 0, 1]);
  });

  test('is ended when a file takes too long, and the other files are matched', async () => {
    // Each sum in the chain is compared with all sums in it.
    const slow = `a${'\n+a'.repeat(60_000)}`;
    const rulesDirectory = rulesOf({
      'slow.yml':
        'id: slow\nlanguage: TypeScript\nmessage: m\nrule:\n  kind: binary_expression\n  has: { pattern: zzz, stopBy: end }\n',
      'eval.yml': 'id: eval\nlanguage: TypeScript\nmessage: m\nrule: { pattern: eval($A) }\n',
    });
    const files = [source('a.ts', 'eval(1)'), source('slow.ts', slow), source('b.ts', 'eval(1)')];

    const matched = await matchFiles({ rulesDirectory, files }, { fileMs: 500, signal, program });

    expect(matched).toMatchObject([
      [{ file: 'a.ts' }],
      'it took longer than 0.5 seconds',
      [{ file: 'b.ts' }],
    ]);
  });

  test('names the file that it died of', async () => {
    const dies = join(folder.path, 'dies.mjs');
    writeFileSync(
      dies,
      `import { text } from 'node:stream/consumers';
      const { files } = JSON.parse(await text(process.stdin));
      for (const { path } of files) {
        if (path === 'bad.ts') process.kill(process.pid, 'SIGSEGV');
        await new Promise((resolve) => process.stdout.write('{"findings":[]}\\n', resolve));
        if (path === 'before-bad.ts') await new Promise((resolve) => setTimeout(resolve, 50));
      }`,
    );
    const files = ['a.ts', 'before-bad.ts', 'bad.ts', 'b.ts'].map((path) => source(path, ''));
    const work = { rulesDirectory: SHIPPED, files };

    const matched = await matchFiles(work, { fileMs: 10_000, signal, program: dies });

    expect(matched).toEqual([[], [], 'the parser failed on it', []]);
  });

  test('is not started for ever', async () => {
    const dies = join(folder.path, 'always-dies.mjs');
    writeFileSync(dies, 'process.exit(1)');
    const files = Array.from({ length: 8 }, (_, index) => source(`${String(index)}.ts`, ''));

    const matched = await matchFiles(
      { rulesDirectory: SHIPPED, files },
      { fileMs: 10_000, signal, program: dies },
    );

    expect(matched.filter((each) => each === 'the parser failed on it')).toHaveLength(5);
    expect(matched).toHaveLength(8);
  });

  test('ends when the work is called off', async () => {
    const hangs = join(folder.path, 'hangs.mjs');
    writeFileSync(hangs, 'setTimeout(() => {}, 100_000)');
    const calledOff = new AbortController();
    const matching = matchFiles(
      { rulesDirectory: SHIPPED, files: [source('a.ts', '')] },
      { fileMs: 100_000, signal: calledOff.signal, program: hangs },
    );
    calledOff.abort(new Error('called off'));

    await expect(matching).rejects.toThrow('called off');
  });

  test('says which rule cannot be used', async () => {
    const rulesDirectory = rulesOf({ 'a.yml': 'id: a\nlanguage: TypeScript\nmessage: m\n' });
    const work = { rulesDirectory, files: [source('a.ts', '')] };

    await expect(matchFiles(work, { fileMs: 1000, signal, program })).rejects.toMatchObject({
      name: 'MatcherError',
      message: expect.stringContaining('a.yml: rule "a": rule is not a mapping') as string,
    });
  });
});

describe('rules that cannot be used are refused with the file and the reason', () => {
  const fine = 'id: a\nlanguage: JavaScript\nmessage: m\nrule: { pattern: f() }\n';

  test.each([
    ['{', 'a.yml: '],
    ['just text', 'it is not a mapping'],
    [fine.replace('id: a', 'id: A b'), 'its id is not'],
    [fine.replace('JavaScript', 'Python'), 'language is "Python", not one of JavaScript'],
    [fine.replace('message: m', 'message: ""'), 'it has no message'],
    [`${fine}severity: fatal\n`, 'severity is "fatal", not one of error'],
    [`${fine}files: ["*.ts"]\n`, 'files is not supported here'],
    [fine.replace('pattern: f()', 'patern: f()'), 'does not compile for JavaScript'],
    [fine.replace('pattern: f()', 'kind: no_such_kind'), 'does not compile for JavaScript'],
    [`${fine}---\n${fine}`, 'the id "a" is used twice'],
  ])('%j', async (text, reason) => {
    const path = rulesOf({ 'a.yml': text });
    await expect(loadRules(path)).rejects.toMatchObject({
      name: 'RuleError',
      message: expect.stringContaining(reason) as string,
    });
  });

  test('an empty folder', async () => {
    await expect(loadRules(rulesOf({}))).rejects.toThrow('There are no rules in');
    await expect(loadRules(join(folder.path, 'none'))).rejects.toThrow('There are no rules in');
  });
});

describe('a rule', () => {
  const rule = (more: string): string =>
    `id: r\nlanguage: JavaScript\nmessage: do not call $NAME here\nrule: { pattern: $NAME(1) }\n${more}`;

  test('may be one of several in a file, and fills its message in', async () => {
    const text = `${rule('')}---\n${rule('').replace('id: r', 'id: s').replace('(1)', '(2)')}`;
    const rules = await loadRules(rulesOf({ 'a.yaml': text }));

    const found = matchFile(source('a.ts', 'f(1);\ng(2);'), rules);

    expect(found).toMatchObject([
      { rule: 'r', severity: 'hint', message: 'do not call f here' },
      { rule: 's', message: 'do not call g here' },
    ]);
  });

  test('that is off finds nothing', async () => {
    const rules = await loadRules(rulesOf({ 'a.yml': rule('severity: off\n') }));
    expect(matchFile(source('a.ts', 'f(1);'), rules)).toEqual([]);
  });

  test('finds only what begins on an added line', async () => {
    const rules = await loadRules(rulesOf({ 'a.yml': rule('') }));
    const file = {
      ...source('a.ts', 'f(1);\nf(1);\nf(1);\nf(1);\n'),
      added: [
        [2, 2],
        [4, 9],
      ] as const,
    };
    expect(matchFile(file, rules).map(({ line }) => line)).toEqual([2, 4]);
  });

  test('is silenced by a comment on the line or the one before', async () => {
    const rules = await loadRules(rulesOf({ 'a.yml': rule('') }));
    const lines = [
      '// ast-grep-ignore',
      'f(1);',
      'f(1); // ast-grep-ignore: r',
      'g();',
      'f(1); // ast-grep-ignore: other, another',
      'f(1);',
    ];
    expect(matchFile(source('a.ts', lines.join('\n')), rules).map(({ line }) => line)).toEqual([
      5, 6,
    ]);
  });
});
