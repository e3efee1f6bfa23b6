import type { PullRequest, Repository } from '../../events/trigger.ts';
import { changedPaths } from './changed-paths.ts';
import { commentOf } from './commands.ts';
import { type Payload, at } from './payload.ts';
import {
  type Fact,
  type Headers,
  type Identity,
  Malformed,
  type Reading,
  USUAL,
  Unmappable,
  type WebhookProvider,
} from './provider.ts';
import { fact, ignored, movement, oneFact } from './reading.ts';
import {
  actionName,
  cloneUrl,
  fullName,
  fullRef,
  labelsAndDraft,
  login,
  optionalRefName,
  pullRequestNumber,
  refName,
  sha,
  title,
  webUrl,
} from './sanitise.ts';
import { verifyGitlab } from './gitlab-signature.ts';

/** gitlab.com and self-managed GitLab. It gives a hook up after a few refusals, so refuse little. */
export const gitlab: WebhookProvider = {
  ...USUAL,
  name: 'gitlab',
  sameBodyIsDuplicate: false,
  verify: verifyGitlab,
  identify,
  read,
};

/** What the body calls itself (`object_kind`) under each event that is read. */
const KINDS: Readonly<Record<string, string>> = {
  'Push Hook': 'push',
  'Tag Push Hook': 'tag_push',
  'Merge Request Hook': 'merge_request',
  'Note Hook': 'note',
  'Confidential Note Hook': 'note',
  'Pipeline Hook': 'pipeline',
  'Job Hook': 'build',
  // Before version 9.3.
  'Build Hook': 'build',
};

const READERS: Readonly<Record<string, (payload: Payload) => Reading>> = {
  push,
  tag_push: push,
  merge_request: mergeRequest,
  note,
  pipeline,
  build: job,
};

function identify(headers: Headers): Identity {
  const event = headers['x-gitlab-event'] ?? '';
  if (!/^[A-Z][A-Za-z ]{2,63}$/.test(event)) {
    throw new Malformed('The header x-gitlab-event must name one event');
  }
  const key = headers['idempotency-key'];
  const signedId = headers['webhook-id'];
  if (signedId !== undefined && key !== undefined && signedId !== key) {
    throw new Malformed('The headers webhook-id and idempotency-key name different deliveries');
  }
  return { event, deliveryId: signedId ?? key ?? null };
}

/** A template of the user's own may make the body anything, so only another event's body is malformed. */
function read(event: string, payload: Payload): Reading {
  const kind = kindOf(payload);
  const named = event === 'System Hook' ? kind : kindNamedBy(event);
  const reader = READERS[named ?? ''];
  if (reader === undefined) return ignored(`The event "${event}" is not one that jobs start on`);
  if (kind === null) throw new Unmappable('The body does not say what it is: a custom template?');
  if (kind !== named) {
    throw new Malformed(`The header names the event "${event}" but the body is of "${kind}"`);
  }
  return reader(payload);
}

function kindOf(payload: Payload): string | null {
  const said = at(payload, 'object_kind') ?? at(payload, 'event_name');
  return typeof said === 'string' && Object.hasOwn(READERS, said) ? said : null;
}

const kindNamedBy = (event: string): string | null =>
  Object.hasOwn(KINDS, event) ? (KINDS[event] ?? null) : null;

const sender = (payload: Payload): string | null =>
  login(at(payload, 'user', 'username')) ?? login(at(payload, 'user_username'));

/** Old versions have no `project`; the target of a merge request has the same fields. */
function repository(payload: Payload): Repository {
  const project = [
    at(payload, 'project'),
    at(payload, 'object_attributes', 'target'),
    at(payload, 'merge_request', 'target'),
  ].find((each) => at(each, 'path_with_namespace') !== undefined);
  if (project === undefined) return oldRepository(payload);
  return {
    fullName: fullName(at(project, 'path_with_namespace')),
    url: webUrl(at(project, 'web_url')),
    cloneUrl: cloneUrl(at(project, 'git_http_url') ?? at(project, 'http_url')),
  };
}

/** Its name is only in its address; `name` and `project_name` are for people. */
function oldRepository(payload: Payload): Repository {
  const url = webUrl(at(payload, 'repository', 'homepage'));
  const named = url === null ? at(payload, 'project_name') : new URL(url).pathname.slice(1);
  return {
    fullName: fullName(named),
    url,
    cloneUrl: cloneUrl(at(payload, 'repository', 'git_http_url')),
  };
}

function push(payload: Payload): Reading {
  const ref = fullRef(at(payload, 'ref'), 'The ref of the push');
  if (ref === null) return ignored('The push is of neither a branch nor a tag');
  const before = sha(at(payload, 'before'), 'The old tip');
  const after = sha(at(payload, 'after'), 'The new tip');
  if (before === null && after === null) throw new Unmappable('The push has no old and no new tip');
  // Of an annotated tag `after` is the tag object and `checkout_sha` the commit.
  const commit =
    ref.kind === 'tag' ? (sha(at(payload, 'checkout_sha'), 'The commit') ?? after) : after;
  return oneFact(
    fact({
      event: ref.kind === 'tag' ? 'tag' : 'push',
      action: movement(before, after),
      repository: repository(payload),
      ref: ref.name,
      headSha: after === null ? null : commit,
      baseSha: before,
      sender: sender(payload),
      ...(ref.kind === 'branch' && after !== null ? changedPaths(payload) : {}),
    }),
  );
}

const MERGE_REQUEST_ACTIONS: Readonly<Record<string, string>> = {
  open: 'opened',
  close: 'closed',
  reopen: 'reopened',
  merge: 'merged',
};

function mergeRequest(payload: Payload): Reading {
  const it = at(payload, 'object_attributes');
  const action = actionName(at(it, 'action'));
  const known = Object.hasOwn(MERGE_REQUEST_ACTIONS, action)
    ? MERGE_REQUEST_ACTIONS[action]
    : action;
  return oneFact({
    ...mergeRequestFact('pull_request', payload, it),
    action: action === 'update' ? update(payload) : (known ?? action),
  });
}

/** New commits, other labels, or anything else: an update says so only by what comes with it. */
function update(payload: Payload): string {
  if (sha(at(payload, 'object_attributes', 'oldrev'), 'The old head') !== null)
    return 'synchronize';
  return at(payload, 'changes', 'labels') === undefined ? 'edited' : 'labeled';
}

/** GitLab never says at which commit the target branch is. */
function mergeRequestFact(event: Fact['event'], payload: Payload, it: unknown): Fact {
  return {
    event,
    action: 'created',
    repository: repository(payload),
    pullRequest: {
      ...pullRequest(it),
      headRepository: headRepository(at(it, 'source', 'path_with_namespace')),
      ...labelsAndDraft(
        at(payload, 'labels') ?? at(it, 'labels'),
        (label) => at(label, 'title'),
        at(it, 'draft') ?? at(it, 'work_in_progress'),
      ),
    },
    ref: refName(at(it, 'source_branch'), 'The source branch'),
    headSha: sha(at(it, 'last_commit', 'id'), 'The head of the merge request'),
    baseSha: null,
    sender: sender(payload),
  };
}

const headRepository = (value: unknown): string | null =>
  value === undefined || value === null ? null : fullName(value);

function pullRequest(it: unknown): PullRequest {
  return {
    number: pullRequestNumber(at(it, 'iid')),
    title: title(at(it, 'title')),
    url: webUrl(at(it, 'url')),
    headRepository: null,
    baseBranch: refName(at(it, 'target_branch'), 'The target branch'),
    baseSha: null,
  };
}

const NOTE_ACTIONS: Readonly<Record<string, string>> = { create: 'created', update: 'edited' };

function note(payload: Payload): Reading {
  const did = at(payload, 'object_attributes', 'action') ?? 'create';
  const action = NOTE_ACTIONS[actionName(did)] ?? actionName(did);
  const isOfPeople = at(payload, 'object_attributes', 'system') !== true;
  const said = commentOf(at(payload, 'object_attributes', 'note'), at(payload, 'user', 'username'));
  const comment = isOfPeople ? said : {};
  const about = { action, repository: repository(payload), sender: sender(payload), ...comment };
  switch (at(payload, 'object_attributes', 'noteable_type')) {
    case 'MergeRequest': {
      const commented = mergeRequestFact(
        'pull_request_comment',
        payload,
        at(payload, 'merge_request'),
      );
      return oneFact({ ...commented, action, ...comment });
    }
    case 'Commit': {
      const headSha = sha(at(payload, 'commit', 'id'), 'The commit');
      return oneFact(fact({ event: 'commit_comment', ...about, headSha }));
    }
    case 'Issue':
      return oneFact(fact({ event: 'issue_comment', ...about }));
    default:
      return ignored('The comment is on neither a merge request, a commit nor an issue');
  }
}

function pipeline(payload: Payload): Reading {
  const it = at(payload, 'object_attributes');
  const mergeRequestOf = at(payload, 'merge_request') ?? null;
  return oneFact(
    fact({
      event: 'pipeline',
      action: actionName(at(it, 'status')),
      repository: repository(payload),
      pullRequest: mergeRequestOf === null ? null : pullRequest(mergeRequestOf),
      ref: optionalRefName(at(it, 'ref'), 'The branch or tag'),
      headSha: sha(at(it, 'sha'), 'The commit'),
      sender: sender(payload),
    }),
  );
}

function job(payload: Payload): Reading {
  return oneFact(
    fact({
      event: 'pipeline',
      action: actionName(at(payload, 'build_status')),
      repository: repository(payload),
      ref: optionalRefName(at(payload, 'ref'), 'The branch or tag'),
      headSha: sha(at(payload, 'sha'), 'The commit'),
      sender: sender(payload),
    }),
  );
}
