import type { PullRequest } from '../../events/trigger.ts';
import {
  actionOf,
  assertOneNumber,
  commentIn,
  createOrDelete,
  issueComment,
  pullRequestFact,
  push,
  repositoryIfAny,
  repositoryOf,
  senderOf,
} from './github-shapes.ts';
import { type Payload, at, listAt } from './payload.ts';
import { type Fact, type Reading, USUAL, type WebhookProvider } from './provider.ts';
import { type EventKind, fact, identifyBy, oneFact, readAs } from './reading.ts';
import { fullRef, optionalRefName, pullRequestNumber, refName, sha } from './sanitise.ts';
import { hexDigest, isSignedByAny } from './signature.ts';

/** github.com and GitHub Enterprise Server. Neither the event nor the delivery id is signed. */
export const github: WebhookProvider = {
  ...USUAL,
  name: 'github',
  formats: ['json', 'form'],

  verify({ headers, body, secrets }) {
    const digest = hexDigest(headers['x-hub-signature-256'], 'sha256=');
    return isSignedByAny(digest, secrets, body) ? 'authentic' : 'not-authentic';
  },

  identify: identifyBy('x-github-event', 'x-github-delivery'),
  read: (event, payload) => readAs(EVENTS, event, payload),
};

/** Events of deployments say what ran them. */
const OF_DEPLOYMENTS = ['deployment', 'deployment_status'];

const EVENTS: Readonly<Record<string, EventKind>> = {
  ping: { has: ['zen', 'hook_id'], hasNot: [], read: ping },
  push: {
    has: ['ref', 'before', 'after'],
    hasNot: ['ref_type', 'pull_request'],
    read: (payload) => push(payload, () => null),
  },
  create: {
    has: ['ref', 'ref_type', 'master_branch'],
    hasNot: ['after'],
    read: createOrDelete('created'),
  },
  delete: {
    has: ['ref', 'ref_type'],
    hasNot: ['after', 'master_branch'],
    read: createOrDelete('deleted'),
  },
  pull_request: {
    has: ['action', 'pull_request'],
    hasNot: ['review', 'comment', 'thread', 'issue'],
    read: pullRequest,
  },
  pull_request_review: {
    has: ['action', 'review', 'pull_request'],
    hasNot: ['comment'],
    read: (payload) => oneFact(pullRequestFact('pull_request_review', payload)),
  },
  pull_request_review_comment: {
    has: ['action', 'comment', 'pull_request'],
    hasNot: ['review'],
    read: (payload) =>
      oneFact({ ...pullRequestFact('pull_request_comment', payload), ...commentIn(payload) }),
  },
  issue_comment: {
    has: ['action', 'comment', 'issue'],
    hasNot: ['pull_request'],
    read: issueComment,
  },
  commit_comment: {
    has: ['action', 'comment'],
    hasNot: ['issue', 'pull_request', 'discussion'],
    read: commitComment,
  },
  check_suite: {
    has: ['action', 'check_suite'],
    hasNot: [],
    read: (payload) => commit('check', payload, 'check_suite', ['head_branch']),
  },
  check_run: {
    has: ['action', 'check_run'],
    hasNot: OF_DEPLOYMENTS,
    read: (payload) => commit('check', payload, 'check_run', ['check_suite', 'head_branch']),
  },
  workflow_run: {
    has: ['action', 'workflow_run'],
    hasNot: OF_DEPLOYMENTS,
    read: (payload) => commit('pipeline', payload, 'workflow_run', ['head_branch']),
  },
  merge_group: { has: ['action', 'merge_group'], hasNot: ['pull_request'], read: mergeGroup },
  installation: {
    has: ['action', 'installation'],
    hasNot: ['repository', 'repositories_added', 'pull_request', 'issue'],
    read: installation,
  },
  installation_repositories: {
    has: ['action', 'installation', 'repositories_added', 'repositories_removed'],
    hasNot: ['repository'],
    read: installation,
  },
};

function ping(payload: Payload): Reading {
  const repository = repositoryIfAny(payload);
  return oneFact(fact({ event: 'ping', action: 'ping', repository, sender: senderOf(payload) }));
}

function installation(payload: Payload): Reading {
  const action = actionOf(payload);
  const sender = senderOf(payload);
  return oneFact(fact({ event: 'installation', action, repository: null, sender }));
}

function pullRequest(payload: Payload): Reading {
  const about = pullRequestFact('pull_request', payload);
  assertOneNumber(payload, about);
  const merged = about.action === 'closed' && at(payload, 'pull_request', 'merged') === true;
  return oneFact(merged ? { ...about, action: 'merged' } : about);
}

function commitComment(payload: Payload): Reading {
  return oneFact(
    fact({
      event: 'commit_comment',
      action: actionOf(payload),
      repository: repositoryOf(payload),
      headSha: sha(at(payload, 'comment', 'commit_id'), 'The commit'),
      sender: senderOf(payload),
      ...commentIn(payload),
    }),
  );
}

/** What ran for a commit: a check or a workflow, under `key`, which says its branch at `branchPath`. */
function commit(
  event: Fact['event'],
  payload: Payload,
  key: string,
  branchPath: readonly string[],
): Reading {
  const run = at(payload, key);
  const own = ownPullRequest(payload, run);
  return oneFact(
    fact({
      event,
      action: actionOf(payload),
      repository: repositoryOf(payload),
      pullRequest: own,
      ref: optionalRefName(at(run, ...branchPath), 'The head branch'),
      headSha: sha(at(run, 'head_sha'), 'The head commit'),
      baseSha: own?.baseSha ?? null,
      sender: senderOf(payload),
    }),
  );
}

/** Of the pull requests that a run lists, some may be of other repositories with the same commit. */
function ownPullRequest(payload: Payload, run: unknown): PullRequest | null {
  const repositoryId = at(payload, 'repository', 'id');
  const own = listAt(run, 'pull_requests').find(
    (each) => repositoryId !== undefined && at(each, 'base', 'repo', 'id') === repositoryId,
  );
  if (own === undefined) return null;
  return {
    number: pullRequestNumber(at(own, 'number')),
    title: null,
    url: null,
    headRepository: null,
    baseBranch: refName(at(own, 'base', 'ref'), 'The base branch'),
    baseSha: sha(at(own, 'base', 'sha'), 'The base of the pull request'),
  };
}

function mergeGroup(payload: Payload): Reading {
  const group = at(payload, 'merge_group');
  return oneFact(
    fact({
      event: 'merge_queue',
      action: actionOf(payload),
      repository: repositoryOf(payload),
      ref: fullRef(at(group, 'head_ref'), 'The branch of the merge group')?.name ?? null,
      headSha: sha(at(group, 'head_sha'), 'The head of the merge group'),
      baseSha: sha(at(group, 'base_sha'), 'The base of the merge group'),
      sender: senderOf(payload),
    }),
  );
}
