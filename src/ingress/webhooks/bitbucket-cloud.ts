import type { Repository } from '../../events/trigger.ts';
import { commentOf } from './commands.ts';
import { type Payload, at, listAt } from './payload.ts';
import {
  type Fact,
  MEBIBYTE,
  Malformed,
  type Reading,
  USUAL,
  type WebhookProvider,
} from './provider.ts';
import { type EventKind, fact, identifyBy, movement, oneFact, readAs } from './reading.ts';
import {
  actionName,
  cloneUrl,
  fullName,
  labelsAndDraft,
  login,
  optionalRefName,
  pullRequestNumber,
  refName,
  shortSha,
  title,
  webUrl,
} from './sanitise.ts';
import { hexDigest, isSignedByAny } from './signature.ts';

/** Bitbucket Cloud. The commits of its pull requests have abbreviated ids. */
export const bitbucketCloud: WebhookProvider = {
  ...USUAL,
  name: 'bitbucket-cloud',
  // It sends no more than 256 KB itself.
  maxBodyBytes: MEBIBYTE,

  verify({ headers, body, secrets }) {
    const digest = hexDigest(headers['x-hub-signature'], 'sha256=');
    return isSignedByAny(digest, secrets, body) ? 'authentic' : 'not-authentic';
  },

  identify: identifyBy('x-event-key', 'x-request-uuid'),
  read: (event, payload) => readAs(EVENTS, event, payload),
};

const OF_PULL_REQUEST = ['pullrequest', 'repository'];

const EVENTS: Readonly<Record<string, EventKind>> = {
  'repo:push': { has: ['push', 'repository'], hasNot: ['pullrequest'], read: push },
  'repo:commit_comment_created': {
    has: ['comment', 'commit', 'repository'],
    hasNot: ['pullrequest'],
    read: commitComment,
  },
  'issue:comment_created': {
    has: ['comment', 'issue', 'repository'],
    hasNot: ['pullrequest'],
    read: issueComment,
  },
  'repo:commit_status_created': commitStatus(),
  'repo:commit_status_updated': commitStatus(),
  'pullrequest:created': pullRequestEvent('opened', ['OPEN', 'DRAFT']),
  'pullrequest:updated': pullRequestEvent('updated', null),
  'pullrequest:fulfilled': pullRequestEvent('merged', ['MERGED']),
  'pullrequest:rejected': pullRequestEvent('closed', ['DECLINED', 'SUPERSEDED']),
  'pullrequest:approved': approvalEvent('approved', 'approval'),
  'pullrequest:unapproved': approvalEvent('unapproved', 'approval'),
  'pullrequest:changes_request_created': approvalEvent('changes_requested', 'changes_request'),
  'pullrequest:changes_request_removed': approvalEvent(
    'changes_request_removed',
    'changes_request',
  ),
  'pullrequest:comment_created': commentEvent('created'),
  'pullrequest:comment_updated': commentEvent('edited'),
  'pullrequest:comment_deleted': commentEvent('deleted'),
  'pullrequest:comment_resolved': commentEvent('resolved'),
  'pullrequest:comment_reopened': commentEvent('reopened'),
};

const STATES = ['OPEN', 'DRAFT', 'MERGED', 'DECLINED', 'SUPERSEDED'];

/** The body does not name its event, but a pull request says how it stands, in words that may become more. */
function pullRequestEvent(action: string, states: readonly string[] | null): EventKind {
  return {
    has: OF_PULL_REQUEST,
    hasNot: ['push', 'comment', 'approval', 'changes_request'],
    read(payload) {
      const state = STATES.find((each) => each === at(payload, 'pullrequest', 'state'));
      if (state !== undefined && states?.includes(state) === false) {
        throw new Malformed(`The header says ${action} but the pull request is ${state}`);
      }
      return oneFact(pullRequestFact('pull_request', action, payload));
    },
  };
}

function approvalEvent(action: string, field: string): EventKind {
  return {
    has: [...OF_PULL_REQUEST, field],
    hasNot: ['push', 'comment'],
    read: (payload) => oneFact(pullRequestFact('pull_request', action, payload)),
  };
}

function commentEvent(action: string): EventKind {
  return {
    has: [...OF_PULL_REQUEST, 'comment'],
    hasNot: ['push'],
    read: (payload) => {
      const text = at(payload, 'comment', 'content', 'raw');
      return oneFact({
        ...pullRequestFact('pull_request_comment', action, payload),
        ...commentOf(text, at(payload, 'comment', 'user', 'nickname')),
      });
    },
  };
}

/** `username` is what payloads from before 2019 have. */
const sender = (payload: Payload): string | null =>
  login(at(payload, 'actor', 'nickname')) ?? login(at(payload, 'actor', 'username'));

/** There is no clone URL in a payload. */
function repositoryOf(payload: Payload): Repository {
  const repository = at(payload, 'repository');
  const url = webUrl(at(repository, 'links', 'html', 'href'));
  return {
    fullName: fullName(at(repository, 'full_name')),
    url,
    cloneUrl: url === null ? null : cloneUrl(`${url}.git`),
  };
}

/** One delivery lists everything that one push changed. */
function push(payload: Payload): Reading {
  const repository = repositoryOf(payload);
  const facts = listAt(payload, 'push', 'changes').flatMap((change) => {
    const type = at(change, 'new', 'type') ?? at(change, 'old', 'type');
    if (type !== 'branch' && type !== 'tag') return [];
    const before = shortSha(at(change, 'old', 'target', 'hash'), 'The old tip');
    const after = shortSha(at(change, 'new', 'target', 'hash'), 'The new tip');
    return fact({
      event: type === 'tag' ? 'tag' : 'push',
      action: movement(before, after),
      repository,
      ref: refName(at(change, 'new', 'name') ?? at(change, 'old', 'name'), 'The branch or tag'),
      headSha: after,
      baseSha: before,
      sender: sender(payload),
    });
  });
  return { action: facts[0]?.action ?? null, facts, withheld: null };
}

function pullRequestFact(event: Fact['event'], action: string, payload: Payload): Fact {
  const it = at(payload, 'pullrequest');
  const fork = at(it, 'source', 'repository', 'full_name') ?? null;
  const baseSha = shortSha(at(it, 'destination', 'commit', 'hash'), 'The base of the pull request');
  return {
    event,
    action,
    repository: repositoryOf(payload),
    pullRequest: {
      number: pullRequestNumber(at(it, 'id')),
      title: title(at(it, 'title')),
      url: webUrl(at(it, 'links', 'html', 'href')),
      headRepository: fork === null ? null : fullName(fork),
      baseBranch: refName(at(it, 'destination', 'branch', 'name'), 'The destination branch'),
      baseSha,
      ...labelsAndDraft(null, () => null, at(it, 'draft')),
    },
    ref: refName(at(it, 'source', 'branch', 'name'), 'The source branch'),
    headSha: shortSha(at(it, 'source', 'commit', 'hash'), 'The head of the pull request'),
    baseSha,
    sender: sender(payload),
  };
}

function commitComment(payload: Payload): Reading {
  return oneFact(
    fact({
      event: 'commit_comment',
      action: 'created',
      repository: repositoryOf(payload),
      headSha: shortSha(at(payload, 'commit', 'hash'), 'The commit'),
      sender: sender(payload),
    }),
  );
}

function issueComment(payload: Payload): Reading {
  const about = { repository: repositoryOf(payload), sender: sender(payload) };
  return oneFact(fact({ event: 'issue_comment', action: 'created', ...about }));
}

/** Old versions have it only at the end of a link. */
function commitOfStatus(status: unknown): unknown {
  const link = at(status, 'links', 'commit', 'href');
  const [, linked] = (typeof link === 'string' && /\/commit\/([0-9a-f]{7,64})$/.exec(link)) || [];
  return at(status, 'commit', 'hash') ?? linked;
}

function commitStatus(): EventKind {
  return {
    has: ['commit_status', 'repository'],
    hasNot: ['pullrequest', 'push'],
    read: (payload) =>
      oneFact(
        fact({
          event: 'pipeline',
          action: actionName(at(payload, 'commit_status', 'state')).toLowerCase(),
          repository: repositoryOf(payload),
          ref: optionalRefName(at(payload, 'commit_status', 'refname'), 'The branch'),
          headSha: shortSha(commitOfStatus(at(payload, 'commit_status')), 'The commit'),
          sender: sender(payload),
        }),
      ),
  };
}
