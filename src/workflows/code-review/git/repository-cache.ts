import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { NonRetriable } from '../../../sdk/index.ts';
import type { Settings } from '../options.ts';
import { explained, isOfTheCopy } from './failure.ts';
import { folderSize, withSizeBound } from './folder-size.ts';
import { withLock } from './lock.ts';
import type { Git } from './run.ts';
import { gitFor, type Remotes } from './session.ts';

/** So many packs mean as many fetches: a new copy is quicker than a collection of garbage. */
const MOST_PACKS = 100;

export type RepositoryUse = Readonly<{
  remotes: Remotes;
  settings: Settings;
  /** sha256 for commit ids of 64 characters. */
  objectFormat: 'sha1' | 'sha256';
  signal: AbortSignal;
}>;

/**
 * Gives `work` git on the cached bare copy of a repository, which nobody else uses meanwhile; makes one when
 * there is none. Bounded in time and size; what git says is thrown as an error that explains it.
 */
export async function withRepository<T>(
  use: RepositoryUse,
  work: (git: Git) => Promise<T>,
): Promise<T> {
  const { settings, remotes } = use;
  const folder = join(settings.dataDir, 'repositories');
  await mkdir(folder, { recursive: true });
  const name = `${nameOf(use)}.git`;
  const timeout = AbortSignal.timeout(settings.limits.gitMs);
  const signal = AbortSignal.any([use.signal, timeout]);
  const locked = (): Promise<T> => withCopy({ ...use, signal }, join(folder, name), work);
  try {
    return await withLock(join(folder, `${name}.lock`), signal, locked);
  } catch (error) {
    use.signal.throwIfAborted();
    if (timeout.aborted) {
      const seconds = String(settings.limits.gitMs / 1000);
      throw new Error(`Repository ${remotes.origin.href} took longer than ${seconds} seconds`, {
        cause: error,
      });
    }
    throw explained(error, remotes.origin);
  }
}

/** A damaged copy is thrown away, once; the second failure is told. */
async function withCopy<T>(
  use: RepositoryUse,
  gitDir: string,
  work: (git: Git) => Promise<T>,
): Promise<T> {
  const { bytes, tooLarge } = sizeBound(use);
  const attempt = async (): Promise<T> => {
    if ((await prepare(use, gitDir)) === 'new') await evictOthers(gitDir, use.settings);
    return withSizeBound({ folder: gitDir, bytes, tooLarge }, async (over) => {
      const signal = AbortSignal.any([use.signal, over]);
      return work(await gitFor({ ...use, gitDir, signal }));
    });
  };
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof TooLarge) await rm(gitDir, { recursive: true, force: true });
    if (!isOfTheCopy(error)) throw error;
    await rm(gitDir, { recursive: true, force: true });
    return attempt();
  }
}

class TooLarge extends NonRetriable {}

const sizeBound = (use: RepositoryUse): { bytes: number; tooLarge: () => Error } => {
  const bytes = use.settings.limits.repositoryBytes;
  const size = `${String(Math.round(bytes / 1024 / 1024))} MiB`;
  return {
    bytes,
    tooLarge: () =>
      new TooLarge(`Repository ${use.remotes.origin.href} is larger than ${size}: not reviewed`),
  };
};

/** Makes the copy, or tidies up what a process that was killed left in it. */
async function prepare(use: RepositoryUse, gitDir: string): Promise<'new' | 'old'> {
  const packs = join(gitDir, 'objects', 'pack');
  const files = await readdir(packs).catch(() => null);
  const isWorn =
    files !== null &&
    (files.filter((file) => file.endsWith('.pack')).length > MOST_PACKS ||
      (await folderSize(gitDir)) > use.settings.limits.repositoryBytes / 2);
  if (files === null || isWorn) {
    await rm(gitDir, { recursive: true, force: true });
    await mkdir(gitDir, { recursive: true });
    const git = await gitFor({ ...use, gitDir });
    await git(['init', '--quiet', '--bare', '--template=', `--object-format=${use.objectFormat}`]);
    return 'new';
  }
  const left = [
    ...files.filter((file) => file.startsWith('tmp_')).map((file) => join(packs, file)),
    ...['shallow.lock', 'config.lock', 'packed-refs.lock'].map((file) => join(gitDir, file)),
  ];
  await Promise.all(left.map((path) => rm(path, { force: true })));
  const now = new Date();
  await utimes(gitDir, now, now);
  return 'old';
}

/** Removes the copies that were used longest ago until the rest fits; one in use has a lock and stays. */
async function evictOthers(gitDir: string, { limits }: Settings): Promise<void> {
  const folder = dirname(gitDir);
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.git'));
  const copies = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => null);
      return { name, usedAt: found?.mtimeMs ?? 0, bytes: await folderSize(join(folder, name)) };
    }),
  );
  let total = copies.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, bytes } of copies.toSorted((a, b) => a.usedAt - b.usedAt)) {
    if (total <= limits.cacheBytes) return;
    if (name === basename(gitDir) || (await isLocked(join(folder, `${name}.lock`)))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    total -= bytes;
  }
}

const isLocked = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => null)) !== null;

const nameOf = ({ remotes, objectFormat }: RepositoryUse): string =>
  createHash('sha256').update(`${objectFormat} ${remotes.origin.href}`).digest('hex').slice(0, 32);
