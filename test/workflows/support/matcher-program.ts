import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

const SOURCE = fileURLToPath(new URL('../../../src/workflows/code-review', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache', import.meta.url));
const FILES = ['ast/matcher-process', 'ast/match', 'ast/rules', 'languages'];

/** Compiles the program that matches, as the build does, to where it finds its packages. */
export function compileMatcher(): { program: string; remove: () => void } {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'jobledger-matcher-'));
  for (const file of FILES) {
    const { outputText } = ts.transpileModule(readFileSync(join(SOURCE, `${file}.ts`), 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    const out = join(folder, `${file}.js`);
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, outputText);
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return {
    program: join(folder, 'ast/matcher-process.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
