import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { composePostgres } from './compose.ts';
import { NoPrograms } from './programs.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'jobledger-docker-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Puts a program named docker in front of the PATH. */
function stubDocker(script: string): void {
  writeFileSync(join(folder, 'docker'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'docker'), 0o755);
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH'] ?? ''}`);
}

test('without programs, Postgres is started by Docker Compose in a project of its own, and taken down', async () => {
  stubDocker(`echo "$POSTGRES_PORT $*" >> ${folder}/calls`);
  const { url, close } = await composePostgres(new NoPrograms('none'));
  await close();
  const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  const { port } = new URL(url);
  expect(calls).toEqual([
    expect.stringMatching(/compose --file \S+ --project-name (\S+) version$/),
    expect.stringMatching(new RegExp(String.raw`^${port} .* up --detach --wait postgres$`)),
    expect.stringMatching(/ down --volumes$/),
  ]);
});

test('without programs and without Docker Compose, one sentence says what to install', async () => {
  stubDocker('exit 1');
  await expect(composePostgres(new NoPrograms('The tests need Postgres'))).rejects.toThrow(
    'The tests need Postgres',
  );
});

test('a server that is installed and does not start is not replaced by a container', async () => {
  stubDocker('exit 0');
  await expect(composePostgres(new Error('No space left'))).rejects.toThrow('No space left');
});
