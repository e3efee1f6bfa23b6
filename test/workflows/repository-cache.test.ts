import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import { withLock } from '../../src/workflows/code-review/git/lock.ts';
import { GitRepository, temporaryFolder } from './support/git-repository.ts';
import { review } from './support/review.ts';

const folder = temporaryFolder();
afterAll(folder.remove);
const signal = new AbortController().signal;
const never = (): Promise<never> => new Promise(() => undefined);

function changed(name: string) {
  const repo = new GitRepository(join(folder.path, name));
  const baseSha = repo.commit({ 'a.ts': '1;\n' });
  repo.branch('feature');
  const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
  return { cloneUrl: repo.cloneUrl, baseSha, headSha };
}

let caches = 0;
function cache() {
  caches += 1;
  const dataDir = join(folder.path, `data-${String(caches)}`);
  const repositories = join(dataDir, 'repositories');
  return {
    options: { dataDir, cloneAllow: [pathToFileURL(folder.path).href] },
    copies: () => readdirSync(repositories).filter((name) => name.endsWith('.git')),
    path: (...parts: readonly string[]) => join(repositories, ...parts),
  };
}

describe('the cached copy of a repository', () => {
  test('serves many jobs at once', async () => {
    const change = changed('at-once');
    const { options, copies } = cache();
    const found = await Promise.all(Array.from({ length: 4 }, () => review(change, options)));

    expect(found.map(({ findings }) => findings.length)).toEqual([1, 1, 1, 1]);
    expect(copies()).toHaveLength(1);
  });

  test('is tidied up after a process that was killed', async () => {
    const change = changed('killed');
    const { options, copies, path } = cache();
    await review(change, options);
    const [copy = ''] = copies();
    const left = ['shallow.lock', 'config.lock', 'objects/pack/tmp_pack_x'].map((name) =>
      path(copy, name),
    );
    for (const file of left) writeFileSync(file, '');
    const next = new GitRepository(join(folder.path, 'killed'));
    const headSha = next.commit({ 'b.ts': 'debugger;\n' });

    const found = await review({ ...change, headSha }, options);

    expect(found.findings).toHaveLength(2);
    expect(left.filter(existsSync)).toEqual([]);
  });

  test.each([
    ['a file of it is empty', 'HEAD', ''],
    ['its configuration is broken', 'config', '[broken'],
    ['a list of it is broken', 'shallow', 'nonsense'],
  ])('is made anew when %s', async (_, file, text) => {
    const change = changed(`damaged-${file}`);
    const { options, copies, path } = cache();
    await review(change, options);
    const [copy = ''] = copies();
    writeFileSync(path(copy, file), text);

    expect((await review(change, options)).findings).toHaveLength(1);
  });

  test('is made anew when its objects are gone', async () => {
    const change = changed('no-objects');
    const { options, copies, path } = cache();
    await review(change, options);
    const [copy = ''] = copies();
    const packs = path(copy, 'objects/pack');
    for (const name of readdirSync(packs)) writeFileSync(join(packs, name), 'nonsense');

    expect((await review(change, options)).findings).toHaveLength(1);
  });

  test('knows no remote by itself, and has no hooks', async () => {
    const { options, copies, path } = cache();
    await review(changed('no-remote'), options);
    const [copy = ''] = copies();

    expect(readFileSync(path(copy, 'config'), 'utf8')).not.toMatch(/remote|promisor|partial/i);
    expect(existsSync(path(copy, 'hooks'))).toBe(false);
  });

  test('makes place for newer ones, oldest first, and never one in use', async () => {
    const { options, copies, path } = cache();
    await review(changed('oldest'), options);
    const [oldest = ''] = copies();
    await review(changed('used'), options);
    const used = copies().find((name) => name !== oldest) ?? '';
    const longAgo = new Date(Date.now() - 3_600_000);
    utimesSync(path(oldest), longAgo, longAgo);
    utimesSync(path(used), longAgo, longAgo);
    writeFileSync(path(`${used}.lock`), 'somebody');

    await review(changed('newest'), { ...options, limits: { cacheBytes: 1 } });

    expect(copies()).toHaveLength(2);
    expect(copies()).toContain(used);
    expect(copies()).not.toContain(oldest);
  });
});

describe('the lock', () => {
  const locks = join(folder.path, 'locks');
  mkdirSync(locks);

  test('lets one in at a time', async () => {
    const path = join(locks, 'one');
    const log: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        withLock(path, signal, async () => {
          log.push(`${name} in`);
          await new Promise((resolve) => setImmediate(resolve));
          log.push(`${name} out`);
        }),
      ),
    );
    expect(log.map((entry) => entry.split(' ')[1])).toEqual([
      'in',
      'out',
      'in',
      'out',
      'in',
      'out',
    ]);
    expect(existsSync(path)).toBe(false);
  });

  test('is given back when the work fails', async () => {
    const path = join(locks, 'fails');
    await expect(withLock(path, signal, () => Promise.reject(new Error('no')))).rejects.toThrow(
      'no',
    );
    expect(await withLock(path, signal, async () => 'next')).toBe('next');
  });

  test('is taken from a process that has died', async () => {
    const path = join(locks, 'dead');
    const child = spawn('true');
    await new Promise((resolve) => child.once('close', resolve));
    const holder = { token: 'x', host: hostname(), pid: child.pid };
    writeFileSync(path, JSON.stringify(holder));

    expect(await withLock(path, signal, async () => 'mine')).toBe('mine');
  });

  test('is taken from another machine that has not touched it for long', async () => {
    const path = join(locks, 'stale');
    writeFileSync(path, JSON.stringify({ token: 'x', host: 'elsewhere', pid: 1 }));
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(path, longAgo, longAgo);

    expect(await withLock(path, signal, async () => 'mine')).toBe('mine');
  });

  test('is waited for until the signal aborts', async () => {
    const path = join(locks, 'held');
    const stop = new AbortController();
    const holding = withLock(path, signal, never);
    const waiting = withLock(path, stop.signal, async () => 'mine');
    stop.abort(new Error('enough'));

    await expect(waiting).rejects.toThrow('aborted');
    expect(existsSync(path)).toBe(true);
    void holding;
  });
});
