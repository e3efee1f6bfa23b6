import { NonRetriable } from '../../../sdk/index.ts';
import { isFullCommitId, type Wanted } from './commit.ts';
import { isNotThere, isUnknownCommit } from './failure.ts';
import type { Git } from './run.ts';

export type Change = Readonly<{ head: Wanted; base: Wanted; url: string; hasFork: boolean }>;

export type Commits = Readonly<{
  head: string;
  /** What the head is compared with: where it left the base branch, or the base itself when that is too far back. */
  base: string;
}>;

const LOCAL = { isLocal: true } as const;

/** How far back history is fetched to find where the head left its base. */
const DEPTHS = [50, 500] as const;

/** Fetches both commits, without the contents of their files. */
export async function fetchChange(git: Git, change: Change): Promise<Commits> {
  const ids = [change.head.id, change.base.id].filter((id) => id !== null);
  if (ids.length === 2 && ids.every(isFullCommitId)) await fetchIds(git, ids, DEPTHS[0]);
  const head = await fetchCommit(git, change.head, change);
  const base = await fetchBase(git, change);
  return { head, base: (await mergeBase(git, head, base)) ?? base };
}

/** A base that was pushed over is no loss: what its branch is now has left the head at the same place. */
async function fetchBase(git: Git, change: Change): Promise<string> {
  const { id, refs } = change.base;
  try {
    return await fetchCommit(git, change.base, change);
  } catch (error) {
    const isGone = error instanceof NonRetriable && id !== null && refs.length > 0;
    if (!isGone) throw error;
    return fetchCommit(git, { id: null, refs }, change);
  }
}

/** Gives the full id of a commit that is there afterwards; throws NonRetriable when the repository has none. */
export async function fetchCommit(
  git: Git,
  wanted: Wanted,
  { url, hasFork }: Pick<Change, 'url' | 'hasFork'>,
): Promise<string> {
  const { id, refs } = wanted;
  const isFull = id !== null && isFullCommitId(id);
  if (isFull && ((await isKept(git, id)) || (await fetchIds(git, [id], DEPTHS[0])))) return id;
  const fromRef = await fetchFromRefs(git, 'origin', wanted);
  if (fromRef !== null) return fromRef;
  const fromFork = hasFork ? await fetchFromFork(git, wanted) : null;
  if (fromFork !== null) return fromFork;
  const what = id === null ? `has none of ${refs.join(', ')}` : `does not have commit ${id}`;
  throw new NonRetriable(
    `Repository ${url} ${what}${id === null ? '' : ` or its branch has moved on`}: it was probably deleted or pushed over. Push again to have the change reviewed`,
  );
}

/** The fork's address is a guess: that there is none is no failure. */
async function fetchFromFork(git: Git, wanted: Wanted): Promise<string | null> {
  const { id } = wanted;
  try {
    if (id !== null && isFullCommitId(id) && (await fetchIds(git, [id], DEPTHS[0], 'fork'))) {
      return id;
    }
    return await fetchFromRefs(git, 'fork', wanted);
  } catch (error) {
    if (isNotThere(error)) return null;
    throw error;
  }
}

/** Whether the server gave them; it may refuse ids that no ref of it names. */
async function fetchIds(
  git: Git,
  ids: readonly string[],
  depth: number,
  remote = 'origin',
): Promise<boolean> {
  const missing = await Promise.all(ids.map(async (id) => !(await isKept(git, id))));
  if (depth === DEPTHS[0] && !missing.includes(true)) return true;
  try {
    await fetch(git, remote, { depth, refspecs: ids.map((id) => `+${id}:${kept(id)}`) });
    return true;
  } catch (error) {
    if (isUnknownCommit(error)) return false;
    throw error;
  }
}

/** Looks the refs up, so that one which is gone does not fail the others, and fetches what they name. */
async function fetchFromRefs(
  git: Git,
  remote: string,
  { id, refs }: Wanted,
): Promise<string | null> {
  if (refs.length === 0) return null;
  const listed = await git(['ls-remote', '--quiet', remote, ...refs]);
  const found = parseRefs(listed.toString('utf8')).filter(({ ref }) => refs.includes(ref));
  const ordered = refs.flatMap((ref) => found.filter((entry) => entry.ref === ref));
  const first = ordered[0];
  if (first === undefined) return null;
  await fetch(git, remote, {
    depth: DEPTHS[0],
    refspecs: ordered.map(({ ref, id: tip }) => `+${ref}:${kept(tip)}`),
  });
  const full = await resolve(git, id ?? first.id);
  if (full !== null) await git(['update-ref', kept(full), full]);
  return full;
}

function parseRefs(text: string): readonly { id: string; ref: string }[] {
  return text.split('\n').flatMap((line) => {
    const [id, ref] = line.split('\t');
    return id !== undefined && ref !== undefined && /^[0-9a-f]{40,64}$/.test(id)
      ? [{ id, ref }]
      : [];
  });
}

async function fetch(
  git: Git,
  remote: string,
  { depth, refspecs }: Readonly<{ depth: number; refspecs: readonly string[] }>,
): Promise<void> {
  await git([
    'fetch',
    '--quiet',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    '--no-recurse-submodules',
    `--depth=${String(depth)}`,
    '--',
    remote,
    ...refspecs,
  ]);
}

/** Our own refs tell what was fetched: asking for the object itself would make git fetch it. */
const kept = (id: string): string => `refs/jobledger/${id}`;

const isKept = async (git: Git, id: string): Promise<boolean> =>
  (await ifAny(git(['rev-parse', '--verify', '--quiet', kept(id)], LOCAL))) !== null;

const resolve = (git: Git, id: string): Promise<string | null> =>
  ifAny(git(['rev-parse', '--verify', '--quiet', `${id}^{commit}`], LOCAL));

async function mergeBase(git: Git, head: string, base: string): Promise<string | null> {
  const find = (): Promise<string | null> => ifAny(git(['merge-base', '--', base, head], LOCAL));
  const near = await find();
  if (near !== null) return near;
  await fetchIds(git, [head, base], DEPTHS[1]);
  return find();
}

/** The one line that git printed, or null when it ended with another code. */
async function ifAny(output: Promise<Buffer>): Promise<string | null> {
  try {
    const text = (await output).toString('utf8').trim();
    return text === '' ? null : text;
  } catch (error) {
    if (error instanceof Error && error.name === 'GitFailed') return null;
    throw error;
  }
}
