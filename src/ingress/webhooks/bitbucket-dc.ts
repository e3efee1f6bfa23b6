import type { Repository } from '../../events/trigger.ts';
import { commentOf } from './commands.ts';
import { type Payload, at, has, listAt } from './payload.ts';
import {
  type Fact,
  Malformed,
  type Reading,
  USUAL,
  type UnverifiedDelivery,
  type Verdict,
  type WebhookProvider,
} from './provider.ts';
import { type EventKind, fact, identifyBy, movement, oneFact, readAs } from './reading.ts';
import {
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
import { hexDigest, isSignedByAny } from './signature.ts';

/** Bitbucket Data Center and Server. The button that tests a hook sends a ping without a signature. */
export const bitbucketDc: WebhookProvider = {
  ...USUAL,
  name: 'bitbucket-dc',
  verify,
  identify: identifyBy('x-event-key', 'x-request-id'),

  read(event, payload) {
    const said = at(payload, 'eventKey') ?? null;
    if (said !== null && said !== event) {
      throw new Malformed(`The header names the event "${event}" but the body another`);
    }
    return readAs(EVENTS, event, payload);
  },
};

const PING = /^\s*\{\s*"test"\s*:\s*true\s*\}\s*$/;

function verify({ headers, body, secrets }: UnverifiedDelivery): Verdict {
  const signature = headers['x-hub-signature'];
  if (isSignedByAny(hexDigest(signature, 'sha256='), secrets, body)) return 'authentic';
  const isPing =
    signature === undefined &&
    headers['x-event-key'] === 'diagnostics:ping' &&
    body.length < 100 &&
    PING.test(body.toString());
  return isPing ? 'unsigned-ping' : 'not-authentic';
}

const EVENTS: Readonly<Record<string, EventKind>> = {
  'diagnostics:ping': {
    has: ['test'],
    hasNot: ['repository', 'pullRequest'],
    read: () => oneFact(fact({ event: 'ping', action: 'ping', repository: null })),
  },
  'repo:refs_changed': {
    has: ['repository'],
    hasNot: ['mirrorServer', 'pullRequest', 'comment'],
    read: push,
  },
  'mirror:repo_synchronized': {
    // Of more refs than it lists, it lists none.
    has: ['repository', 'mirrorServer'],
    hasNot: ['pullRequest', 'comment'],
    read: (payload) => ({
      ...push(payload),
      withheld: 'A mirror repeats a push that the repository itself has sent',
    }),
  },
  'repo:comment:added': commitComment('created'),
  'repo:comment:edited': commitComment('edited'),
  'repo:comment:deleted': commitComment('deleted'),
  'pr:opened': pullRequest('opened'),
  'pr:from_ref_updated': pullRequest('synchronize'),
  'pr:to_ref_updated': pullRequest('edited'),
  'pr:modified': pullRequest('edited'),
  'pr:merged': pullRequest('merged'),
  'pr:declined': pullRequest('closed'),
  'pr:reopened': pullRequest('reopened'),
  'pr:deleted': pullRequest('deleted'),
  'pr:reviewer:approved': pullRequest('approved'),
  'pr:reviewer:unapproved': pullRequest('unapproved'),
  'pr:reviewer:needs_work': pullRequest('changes_requested'),
  'pr:reviewer:changes_requested': pullRequest('changes_requested'),
  'pr:reviewer:updated': pullRequest('review_requested'),
  'pr:comment:added': pullRequestComment('created'),
  'pr:comment:edited': pullRequestComment('edited'),
  'pr:comment:deleted': pullRequestComment('deleted'),
};

function pullRequest(action: string): EventKind {
  return {
    has: ['pullRequest'],
    hasNot: ['comment', 'changes'],
    read: (payload) => oneFact(pullRequestFact('pull_request', action, payload)),
  };
}

function pullRequestComment(action: string): EventKind {
  return {
    has: ['pullRequest', 'comment'],
    hasNot: ['changes'],
    read: (payload) => {
      const comment = at(payload, 'comment');
      return oneFact({
        ...pullRequestFact('pull_request_comment', action, payload),
        ...commentOf(at(comment, 'text'), at(comment, 'author', 'name')),
      });
    },
  };
}

function commitComment(action: string): EventKind {
  return {
    has: ['comment', 'commit', 'repository'],
    hasNot: ['pullRequest'],
    read: (payload) =>
      oneFact(
        fact({
          event: 'commit_comment',
          action,
          repository: repository(at(payload, 'repository')),
          headSha: sha(at(payload, 'commit'), 'The commit'),
          sender: sender(payload),
        }),
      ),
  };
}

/** `username` is what servers before version 5.4 say. */
const sender = (payload: Payload): string | null =>
  login(at(payload, 'actor', 'name')) ?? login(at(payload, 'actor', 'username'));

function nameOf(it: unknown): string {
  const key = at(it, 'project', 'key');
  const slug = at(it, 'slug');
  return fullName(typeof key === 'string' && typeof slug === 'string' ? `${key}/${slug}` : null);
}

/** Old versions have no links. */
function repository(it: unknown): Repository {
  const http = listAt(it, 'links', 'clone').find((link) => {
    const name = at(link, 'name');
    return name === 'http' || name === 'https';
  });
  return {
    fullName: nameOf(it),
    url: webUrl(at(listAt(it, 'links', 'self')[0], 'href')),
    cloneUrl: cloneUrl(at(http, 'href')),
  };
}

/** One delivery lists everything that one push changed. */
function push(payload: Payload): Reading {
  const changes = listAt(payload, 'changes');
  const of = repository(at(payload, 'repository'));
  const facts = changes.flatMap((change) => {
    const ref = fullRef(at(change, 'refId') ?? at(change, 'ref', 'id'), 'The ref');
    if (ref === null) return [];
    const before = sha(at(change, 'fromHash'), 'The old tip');
    const after = sha(at(change, 'toHash'), 'The new tip');
    const isTag = ref.kind === 'tag';
    return fact({
      event: isTag ? 'tag' : 'push',
      action: movement(before, after),
      repository: of,
      ref: ref.name,
      headSha: isTag && after !== null ? commitOfTag(payload, changes.length, after) : after,
      baseSha: before,
      sender: sender(payload),
    });
  });
  return { action: facts[0]?.action ?? null, facts, withheld: null };
}

/** Of an annotated tag the tip is the tag object, and `toCommit` the commit; old versions do not have it. */
function commitOfTag(payload: Payload, changes: number, tip: string): string | null {
  if (!has(payload, 'toCommit')) return tip;
  if (changes === 1) return sha(at(payload, 'toCommit', 'id'), 'The commit of the tag');
  const isCommit = listAt(payload, 'commits').some((commit) => at(commit, 'id') === tip);
  return isCommit ? tip : null;
}

function pullRequestFact(event: Fact['event'], action: string, payload: Payload): Fact {
  const it = at(payload, 'pullRequest');
  const fork = at(it, 'fromRef', 'repository') ?? null;
  const baseSha = sha(at(it, 'toRef', 'latestCommit'), 'The base of the pull request');
  return {
    event,
    action,
    repository: repository(at(it, 'toRef', 'repository')),
    pullRequest: {
      number: pullRequestNumber(at(it, 'id')),
      title: title(at(it, 'title')),
      url: webUrl(at(listAt(it, 'links', 'self')[0], 'href')),
      headRepository: fork === null ? null : nameOf(fork),
      baseBranch: refName(at(it, 'toRef', 'displayId'), 'The destination branch'),
      baseSha,
      ...labelsAndDraft(null, () => null, at(it, 'draft')),
    },
    // A tag may be the source too.
    ref: refName(at(it, 'fromRef', 'displayId'), 'The source branch'),
    headSha: sha(at(it, 'fromRef', 'latestCommit'), 'The head of the pull request'),
    baseSha,
    sender: sender(payload),
  };
}
