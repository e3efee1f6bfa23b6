import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Compiles `src/platform` as it is now, for tests that run it in a process of their own, and returns the folder. It is
 * in `node_modules`, from where packages are found.
 */
export function compilePlatform(): string {
  const source = join(ROOT, 'src/platform');
  const target = join(ROOT, 'node_modules/.cache/jobledger-test/platform');
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, '../package.json'), '{"type":"module"}\n');
  for (const file of readdirSync(source).filter((name) => name.endsWith('.ts'))) {
    const { outputText } = transpileModule(readFileSync(join(source, file), 'utf8'), {
      compilerOptions: {
        target: ScriptTarget.ES2023,
        module: ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(join(target, file.replace(/\.ts$/, '.js')), outputText);
  }
  return target;
}
