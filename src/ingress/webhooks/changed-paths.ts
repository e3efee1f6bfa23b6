import { type Payload, at, listAt } from './payload.ts';
import type { Fact } from './provider.ts';
import { text } from './sanitise.ts';

/** What a fact keeps: it is stored with each of its jobs, for ever. */
const MAX_PATHS = 500;
const MAX_CHARACTERS = 16_384;
/** Longer than any that git checks out on most systems. */
const LONGEST = 1024;
/** GitHub lists no more. */
const MOST_COMMITS = 2048;

/**
 * The files that the listed commits of a push touch, in the shape that GitHub, GitLab and Gitea have in common. Empty
 * where no commit is listed. A forced push also undoes commits, which no host lists.
 */
export function changedPaths(payload: Payload): Pick<Fact, 'paths' | 'morePaths'> {
  const commits = listAt(payload, 'commits');
  if (commits.length === 0) return {};
  const { paths, left } = firstPaths(commits);
  const total = at(payload, 'total_commits_count') ?? at(payload, 'total_commits');
  const more =
    left ||
    at(payload, 'forced') === true ||
    commits.length >= MOST_COMMITS ||
    (typeof total === 'number' && total > commits.length);
  return { paths, ...(more ? { morePaths: true } : {}) };
}

function firstPaths(
  commits: readonly unknown[],
): Readonly<{ paths: readonly string[]; left: boolean }> {
  const paths = new Set<string>();
  let characters = 0;
  for (const path of touchedBy(commits)) {
    characters += path?.length ?? 0;
    if (path === null || paths.size === MAX_PATHS || characters > MAX_CHARACTERS) {
      return { paths: [...paths], left: true };
    }
    paths.add(path);
  }
  return { paths: [...paths], left: false };
}

/** null for what is no path that is kept. */
function* touchedBy(commits: readonly unknown[]): Generator<string | null> {
  for (const commit of commits) {
    const lists = ['added', 'modified', 'removed'].map((kind) => at(commit, kind));
    // A commit that does not say what it touched may have touched anything.
    if (!lists.some(Array.isArray)) yield null;
    for (const path of lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : []))) {
      yield typeof path === 'string' && path !== '' && path.length <= LONGEST
        ? text(path, LONGEST)
        : null;
    }
  }
}
