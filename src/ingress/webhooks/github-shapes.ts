import type { PullRequest, Repository } from '../../events/trigger.ts';
import { changedPaths } from './changed-paths.ts';
import { commentOf } from './commands.ts';
import { type Payload, at, has, isObject } from './payload.ts';
import { type Fact, type Reading, Unmappable } from './provider.ts';
import { fact, ignored, movement, oneFact } from './reading.ts';
import {
  actionName,
  cloneUrl,
  fullName,
  fullRef,
  labelsAndDraft,
  login,
  pullRequestNumber,
  refName,
  sha,
  title,
  webUrl,
} from './sanitise.ts';

// The shapes of payloads that GitHub has and Gitea and Forgejo have taken over.

export const senderOf = (payload: Payload): string | null =>
  login(at(payload, 'sender', 'login')) ?? login(at(payload, 'sender', 'username'));

export function repositoryOf(payload: Payload): Repository {
  const repository = at(payload, 'repository');
  return {
    fullName: fullName(at(repository, 'full_name')),
    url: webUrl(at(repository, 'html_url')),
    cloneUrl: cloneUrl(at(repository, 'clone_url')),
  };
}

export const repositoryIfAny = (payload: Payload): Repository | null =>
  has(payload, 'repository') ? repositoryOf(payload) : null;

export const actionOf = (payload: Payload): string => actionName(at(payload, 'action'));

/** `tagTip`: the commit of a tag where `head_commit`, which has it, is left out. */
export function push(payload: Payload, tagTip: (after: string | null) => string | null): Reading {
  const ref = fullRef(at(payload, 'ref'), 'The ref of the push');
  if (ref === null) return ignored('The push is of neither a branch nor a tag');
  const before = sha(at(payload, 'before'), 'The old tip');
  const after = sha(at(payload, 'after'), 'The new tip');
  if (before === null && after === null) throw new Unmappable('The push has no old and no new tip');
  // Of an annotated tag `after` is the tag object and only `head_commit` the commit.
  const commit =
    ref.kind === 'tag'
      ? (sha(at(payload, 'head_commit', 'id'), 'The commit of the tag') ?? tagTip(after))
      : after;
  return oneFact(
    fact({
      event: ref.kind === 'tag' ? 'tag' : 'push',
      action: movement(before, after),
      repository: repositoryOf(payload),
      ref: ref.name,
      headSha: after === null ? null : commit,
      baseSha: before,
      sender: senderOf(payload),
      ...(ref.kind === 'branch' && after !== null ? changedPaths(payload) : {}),
    }),
  );
}

/** GitHub does not say at which commit a ref was created; Gitea does, in `sha`. */
export function createOrDelete(action: 'created' | 'deleted'): (payload: Payload) => Reading {
  return (payload) => {
    const type = at(payload, 'ref_type');
    if (type !== 'branch' && type !== 'tag') {
      return ignored(`What was ${action} is neither a branch nor a tag`);
    }
    return oneFact(
      fact({
        event: type === 'tag' ? 'tag' : 'push',
        action,
        repository: repositoryOf(payload),
        ref: refName(at(payload, 'ref'), 'The ref'),
        headSha: action === 'created' ? sha(at(payload, 'sha'), 'The new tip') : null,
        sender: senderOf(payload),
      }),
    );
  };
}

export function pullRequestFact(event: Fact['event'], payload: Payload): Fact {
  const it = at(payload, 'pull_request');
  const baseSha = sha(at(it, 'base', 'sha'), 'The base of the pull request');
  return {
    event,
    action: actionOf(payload),
    repository: repositoryOf(payload),
    pullRequest: {
      number: pullRequestNumber(at(it, 'number')),
      title: title(at(it, 'title')),
      url: webUrl(at(it, 'html_url')),
      headRepository: headRepository(at(it, 'head', 'repo', 'full_name')),
      baseBranch: refName(at(it, 'base', 'ref'), 'The base branch'),
      baseSha,
      ...labelled(it),
    },
    ref: refName(at(it, 'head', 'ref'), 'The head branch'),
    headSha: sha(at(it, 'head', 'sha'), 'The head of the pull request'),
    baseSha,
    sender: senderOf(payload),
  };
}

/** null when the fork was deleted. */
const headRepository = (value: unknown): string | null =>
  value === undefined || value === null ? null : fullName(value);

export function assertOneNumber(payload: Payload, { pullRequest }: Fact): void {
  const number = at(payload, 'number');
  if (number === undefined || number === pullRequest?.number) return;
  throw new Unmappable('The payload gives two different numbers of the pull request');
}

/** A comment on an issue or on a pull request as a whole, which hosts send as the same event. */
export function issueComment(payload: Payload): Reading {
  const issue = at(payload, 'issue');
  const isPullRequest = isObject(at(issue, 'pull_request')) || at(payload, 'is_pull') === true;
  return oneFact(
    fact({
      event: isPullRequest ? 'pull_request_comment' : 'issue_comment',
      action: actionOf(payload),
      repository: repositoryOf(payload),
      pullRequest: isPullRequest ? commentedPullRequest(issue) : null,
      sender: senderOf(payload),
      ...commentIn(payload),
    }),
  );
}

const MEMBERS: ReadonlySet<unknown> = new Set(['OWNER', 'MEMBER', 'COLLABORATOR']);

/** GitHub says what the author is to the repository; Gitea and Forgejo do not. */
export function commentIn(payload: Payload): Pick<Fact, 'comment'> {
  const comment = at(payload, 'comment');
  const association = at(comment, 'author_association');
  const isMember = association === undefined ? undefined : MEMBERS.has(association);
  const author = at(comment, 'user', 'login') ?? at(comment, 'user', 'username');
  return commentOf(at(comment, 'body'), author, isMember);
}

/** The payload is of an issue, so it has neither branches nor commits. */
function commentedPullRequest(issue: unknown): PullRequest {
  return {
    number: pullRequestNumber(at(issue, 'number')),
    title: title(at(issue, 'title')),
    url: webUrl(at(issue, 'html_url')),
    headRepository: null,
    baseBranch: null,
    baseSha: null,
    ...labelled(issue),
  };
}

const labelled = (it: unknown): ReturnType<typeof labelsAndDraft> =>
  labelsAndDraft(at(it, 'labels'), (label) => at(label, 'name'), at(it, 'draft'));
