import type { Trigger } from '../../sdk/index.ts';

/** The step whose result says which commits a comment is about. */
export const FIND_HEAD = 'find-head';

/** What the host says of a pull request that a trigger only has the number of. */
export type FoundHead = {
  headSha: string;
  ref: string;
  headRepository: string | null;
  baseBranch: string;
  baseSha: string | null;
  title: string;
};

/**
 * Whether the trigger is a comment on a pull request without its commits: GitHub, Gitea and Forgejo give only the number.
 */
export const isWithoutHead = ({ event, headSha, pullRequest }: Trigger): boolean =>
  event === 'pull_request_comment' && headSha === null && pullRequest !== null;

/** `found`: what the step has kept, which an older version may have written. */
export function withHead(trigger: Trigger, found: unknown): Trigger {
  const { pullRequest } = trigger;
  if (pullRequest === null || !isFoundHead(found)) return trigger;
  const { headSha, ref, baseSha, headRepository, baseBranch, title } = found;
  return {
    ...trigger,
    headSha,
    ref,
    baseSha,
    pullRequest: { ...pullRequest, headRepository, baseBranch, baseSha, title },
  };
}

const isFoundHead = (found: unknown): found is FoundHead =>
  typeof found === 'object' && found !== null && 'headSha' in found;
