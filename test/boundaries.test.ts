import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A file that breaks each rule of `.dependency-cruiser.cjs`: a rule that never fires guards nothing. */
const OFFENCES: Readonly<Record<string, readonly [file: string, imports: string]>> = {
  'events-imports': ['src/events/bad.ts', '../platform/good.ts'],
  'sdk-imports': ['src/sdk/bad.ts', '../events/good.ts'],
  'hosts-imports': ['src/hosts/bad.ts', '../platform/good.ts'],
  'platform-imports': ['src/platform/bad.ts', '../events/good.ts'],
  'event-store-imports': ['src/event-store/bad.ts', '../write/door.ts'],
  'messaging-imports': ['src/messaging/bad.ts', '../events/good.ts'],
  'write-imports': ['src/write/bad.ts', '../read/good.ts'],
  'projections-imports': ['src/projections/bad.ts', '../write/door.ts'],
  'read-imports': ['src/read/bad.ts', '../projections/good.ts'],
  'mirror-imports': ['src/mirror/bad.ts', '../read/good.ts'],
  'archive-imports': ['src/archive/bad.ts', '../read/good.ts'],
  'privacy-imports': ['src/privacy/bad.ts', '../read/good.ts'],
  'ingress-imports': ['src/ingress/bad.ts', '../event-store/good.ts'],
  'dispatch-imports': ['src/dispatch/bad.ts', '../workers/good.ts'],
  'workers-imports': ['src/workers/bad.ts', '../event-store/good.ts'],
  'workflows-imports': ['src/workflows/bad.ts', '../platform/good.ts'],
  'testing-imports': ['src/testing/bad.ts', '../read/good.ts'],
  'client-imports': ['src/client/bad.ts', '../events/good.ts'],
  'known-folder': ['src/utils/bad.ts', '../platform/good.ts'],
  pure: ['src/events/impure.ts', 'node:fs'],
  'framework-free': ['src/read/nest.ts', '@nestjs/common'],
  'write-door': ['src/dispatch/back-door.ts', '../write/handle.ts'],
  'no-root-imports': ['src/read/root.ts', '../processes/good.ts'],
  'no-test-imports': ['src/read/test.ts', '../../test/good.ts'],
  // A cycle is reported from the first of its files.
  'no-cycles': ['src/events/cycle-back.ts', './cycle.ts'],
  'not-dev': ['src/platform/dev.ts', 'vitest'],
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jobledger-boundaries-'));
  for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
    await cp(join(ROOT, name), join(folder, name));
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  };
  for (const place of [
    'events',
    'platform',
    'event-store',
    'read',
    'projections',
    'workers',
    'processes',
  ]) {
    await write(`src/${place}/good.ts`, 'export const good = 1;\n');
  }
  await write('src/write/door.ts', 'export const good = 1;\n');
  await write('src/write/handle.ts', 'export const good = 1;\n');
  await write('test/good.ts', 'export const good = 1;\n');
  await write('src/events/cycle.ts', "import './cycle-back.ts';\nexport const cycle = 1;\n");
  for (const [file, imports] of Object.values(OFFENCES))
    await write(file, `import '${imports}';\nexport const bad = 1;\n`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

type Violation = { rule: { name: string }; from: string };

const violations = (): Promise<readonly Violation[]> =>
  new Promise((resolve, reject) => {
    const program = join(ROOT, 'node_modules/.bin/depcruise');
    execFile(
      program,
      ['src', '--output-type', 'json'],
      { cwd: folder, maxBuffer: 1e8 },
      (error, stdout) => {
        if (stdout === '') reject(error ?? new Error('dependency-cruiser said nothing'));
        else
          resolve(
            (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations,
          );
      },
    );
  });

test('each rule of who may import whom is seen to fail, and every rule has its offence', async () => {
  const found = await violations();
  for (const [rule, [file]] of Object.entries(OFFENCES)) {
    expect(found.map(({ rule: { name }, from }) => `${name}: ${from}`)).toContain(
      `${rule}: ${file}`,
    );
  }
  const { default: config } = (await import(join(ROOT, '.dependency-cruiser.cjs'))) as {
    default: { forbidden: { name: string }[] };
  };
  expect(config.forbidden.map(({ name }) => name).toSorted()).toEqual(
    Object.keys(OFFENCES).toSorted(),
  );
}, 60_000);
