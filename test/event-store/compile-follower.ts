import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';

const ROOT = join(import.meta.dirname, '../..');
const TARGET = join(ROOT, 'node_modules/.cache/jobledger-test-follower');

export const compileFollower = (): string =>
  compileProcess(
    'test/event-store/follower-process.ts',
    ['events', 'platform', 'event-store'],
    ['test/event-store/counting-follower.ts'],
  );

/**
 * Compiles a process of the tests, with the folders and files that it needs, as the code is now; gives the file to run.
 * It finds packages from where it lies.
 */
export function compileProcess(
  entry: string,
  folders: readonly string[],
  files: readonly string[] = [],
): string {
  const sources = [...folders.flatMap((folder) => filesOf(`src/${folder}`)), ...files, entry];
  for (const source of sources) {
    const { outputText } = transpileModule(readFileSync(join(ROOT, source), 'utf8'), {
      compilerOptions: {
        target: ScriptTarget.ES2023,
        module: ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    const target = join(TARGET, source.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
  writeFileSync(join(TARGET, 'package.json'), '{"type":"module"}\n');
  return join(TARGET, entry.replace(/\.ts$/, '.js'));
}

const filesOf = (folder: string): readonly string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);
