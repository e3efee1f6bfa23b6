import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { type Git, runGit } from './git/run.ts';
import { localEnvironment } from './git/session.ts';
import { settingsOf } from './options.ts';
import { SAMPLE } from './sample-history.ts';

export type SampleRepository = Readonly<{
  /** Begins with `file://`; `code-review` may fetch it without a line in CLONE_ALLOW. */
  cloneUrl: string;
  baseSha: string;
  headSha: string;
  baseBranch: string;
  headBranch: string;
  number: number;
  title: string;
}>;

const HEAD_REF = 'refs/pull/7/head';
const MAKE_MS = 30_000;

/**
 * Makes a small bare repository in the folder, with a pull request that the shipped rules find faults in. Its
 * commits are the same wherever it is made, and what is there already stays. `directory` is `DATA_DIR/sample`.
 */
export async function makeSampleRepository(directory: string): Promise<SampleRepository> {
  const folder = resolve(directory);
  const repository = join(folder, 'shop.git');
  await mkdir(folder, { recursive: true });
  const shas = (await shasOf(repository)) ?? (await make(folder, repository));
  return {
    cloneUrl: pathToFileURL(repository).href,
    ...shas,
    baseBranch: 'main',
    headBranch: 'checkout',
    number: 7,
    title: 'Let customers check out',
  };
}

type Shas = Pick<SampleRepository, 'baseSha' | 'headSha'>;

async function shasOf(repository: string): Promise<Shas | null> {
  try {
    const refs = ['refs/heads/main', HEAD_REF].map((ref) => `${ref}^{commit}`);
    const output = await gitIn(repository)(['rev-parse', '--verify', ...refs.slice(0, 1)]);
    const head = await gitIn(repository)(['rev-parse', '--verify', ...refs.slice(1)]);
    return { baseSha: output.toString().trim(), headSha: head.toString().trim() };
  } catch {
    return null;
  }
}

/** Made aside and moved into place, so that nobody ever sees half of it. */
async function make(folder: string, repository: string): Promise<Shas> {
  const aside = await mkdtemp(join(folder, 'new-'));
  try {
    const git = gitIn(aside);
    await git(['init', '--quiet', '--bare', '--template=', '--initial-branch=main']);
    await git(['fast-import', '--quiet'], { input: SAMPLE });
    const made = await shasOf(aside);
    if (made === null) throw new Error(`The sample repository could not be made in ${folder}`);
    await moveInto(aside, repository);
    return made;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function gitIn(gitDir: string): Git {
  const env = { ...localEnvironment(settingsOf({})), GIT_DIR: gitDir };
  return (args, io) => runGit({ args, env, cwd: gitDir, signal: AbortSignal.timeout(MAKE_MS) }, io);
}

const MAX_MOVES = 5;

/** Several processes may do so at once: one of them moves, and the others find a whole one. Only a broken one is removed. */
async function moveInto(aside: string, repository: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await rename(aside, repository);
      return;
    } catch (error) {
      if ((await shasOf(repository)) !== null) return;
      if (tries === MAX_MOVES) throw error;
      await rm(repository, { recursive: true, force: true });
    }
  }
}
