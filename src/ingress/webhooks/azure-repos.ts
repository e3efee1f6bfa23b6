import type { Repository } from '../../events/trigger.ts';
import { commentOf } from './commands.ts';
import { type Payload, at, listAt } from './payload.ts';
import {
  type Fact,
  type Identity,
  Malformed,
  type Reading,
  USUAL,
  type UnverifiedDelivery,
  type Verdict,
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
  pullRequestNumber,
  sha,
  title,
  webUrl,
} from './sanitise.ts';
import { isAnyOf } from './signature.ts';

/** Service hooks of Azure DevOps: basic authentication over HTTPS, and everything else in the body. */
export const azureRepos: WebhookProvider = {
  ...USUAL,
  name: 'azure-repos',
  sameBodyIsDuplicate: false,
  challenge: 'Basic realm="Jobledger", charset="UTF-8"',
  // It takes 503 for a passing fault; any other refusal puts the hook on probation.
  overRate: 'unavailable',
  verify,
  identify,
  read,
};

function verify({ headers, secrets }: UnverifiedDelivery): Verdict {
  const [, base64 = ''] = /^basic (\S+)$/i.exec(headers['authorization'] ?? '') ?? [];
  const given = Buffer.from(base64, 'base64');
  // Node decodes what is no base64 too, as far as it goes.
  const isStrict = base64 !== '' && given.toString('base64') === base64;
  return isStrict && isAnyOf(given, secrets) ? 'authentic' : 'not-authentic';
}

/** The sample of the test button has ids that many share, and no subscription. */
function identify(_headers: unknown, payload: Payload): Identity {
  const event = at(payload, 'eventType');
  if (typeof event !== 'string' || !/^[a-z][\w.-]{2,99}$/i.test(event)) {
    throw new Malformed('The field "eventType" must name the event');
  }
  const parts = [at(payload, 'subscriptionId'), at(payload, 'notificationId'), at(payload, 'id')];
  if (!parts.every((part) => typeof part === 'string' || Number.isSafeInteger(part))) {
    return { event, deliveryId: null };
  }
  const deliveryId = parts.map(String).join(':');
  return { event, deliveryId, key: `${deliveryId}:${event}` };
}

const READERS: Readonly<Record<string, (payload: Payload) => Reading>> = {
  'git.push': push,
  'git.pullrequest.created': pullRequest(() => 'opened'),
  'git.pullrequest.updated': pullRequest(updated),
  'git.pullrequest.merged': pullRequest(mergeAttempted),
  'ms.vss-code.git-pullrequest-comment-event': comment,
  'build.complete': build,
};

function read(event: string, payload: Payload): Reading {
  const reader = Object.hasOwn(READERS, event) ? READERS[event] : undefined;
  return reader?.(payload) ?? ignored(`The event "${event}" is not one that jobs start on`);
}

function nameOf(it: unknown): string {
  const project = at(it, 'project', 'name');
  const name = at(it, 'name');
  return fullName(
    typeof project === 'string' && typeof name === 'string' ? `${project}/${name}` : null,
  );
}

function repository(it: unknown): Repository {
  const remote = at(it, 'remoteUrl');
  return {
    fullName: nameOf(it),
    url: webUrl(at(it, 'webUrl') ?? remote),
    cloneUrl: cloneUrl(remote),
  };
}

/** One delivery lists everything that one push changed. */
function push(payload: Payload): Reading {
  const updates = listAt(payload, 'resource', 'refUpdates');
  const facts = updates.flatMap((update) => {
    const ref = fullRef(at(update, 'name'), 'The ref');
    if (ref === null) return [];
    const before = sha(at(update, 'oldObjectId'), 'The old tip');
    const after = sha(at(update, 'newObjectId'), 'The new tip');
    return fact({
      event: ref.kind === 'tag' ? 'tag' : 'push',
      action: movement(before, after),
      repository: repository(at(payload, 'resource', 'repository')),
      ref: ref.name,
      headSha: after,
      baseSha: before,
      sender: login(at(payload, 'resource', 'pushedBy', 'uniqueName')),
    });
  });
  return { action: facts[0]?.action ?? null, facts, withheld: null };
}

function pullRequest(actionOf: (payload: Payload) => string): (payload: Payload) => Reading {
  return (payload) => {
    const it = at(payload, 'resource');
    const action = actionOf(payload);
    // Who did it is not stated, but for who opened it and who closed it.
    const actor = action === 'opened' ? at(it, 'createdBy') : at(it, 'closedBy');
    return oneFact(pullRequestFact({ event: 'pull_request', action, it, actor }));
  };
}

/** What an update was is told only in its message, which is in English and may be left out. */
function updated(payload: Payload): string {
  const closed = closedAction(payload);
  if (closed !== null) return closed;
  const message = at(payload, 'message', 'text');
  if (typeof message !== 'string') return 'updated';
  if (message.includes(' updated the source branch of ')) return 'synchronize';
  return message.includes(' reactivated ') ? 'reopened' : 'updated';
}

/** It says that Azure has tried whether the branches merge, which it does for open pull requests too. */
function mergeAttempted(payload: Payload): string {
  return closedAction(payload) ?? 'merge_attempted';
}

function closedAction(payload: Payload): 'merged' | 'closed' | null {
  const status = at(payload, 'resource', 'status');
  if (status === 'completed') return 'merged';
  return status === 'abandoned' ? 'closed' : null;
}

function pullRequestFact(
  from: Readonly<{ event: Fact['event']; action: string; it: unknown; actor: unknown }>,
): Fact {
  const { event, action, it, actor } = from;
  const baseSha = sha(at(it, 'lastMergeTargetCommit', 'commitId'), 'The base of the pull request');
  return {
    event,
    action,
    repository: repository(at(it, 'repository')),
    pullRequest: {
      number: pullRequestNumber(at(it, 'pullRequestId')),
      title: title(at(it, 'title')),
      url: webUrl(at(it, '_links', 'web', 'href')),
      headRepository: headRepository(it),
      baseBranch: branch(at(it, 'targetRefName'), 'The target branch'),
      baseSha,
      ...labelsAndDraft(at(it, 'labels'), (label) => at(label, 'name'), at(it, 'isDraft')),
    },
    ref: branch(at(it, 'sourceRefName'), 'The source branch'),
    headSha: sha(at(it, 'lastMergeSourceCommit', 'commitId'), 'The head of the pull request'),
    baseSha,
    sender: login(at(actor, 'uniqueName')),
  };
}

/** null when the fork was deleted. */
function headRepository(it: unknown): string | null {
  const fork = at(it, 'forkSource') ?? null;
  if (fork === null) return nameOf(at(it, 'repository'));
  const repositoryOfFork = at(fork, 'repository') ?? null;
  return repositoryOfFork === null ? null : nameOf(repositoryOfFork);
}

const branch = (value: unknown, what: string): string | null => fullRef(value, what)?.name ?? null;

/** Version 1.0 of the event has nothing but the comment. */
function comment(payload: Payload): Reading {
  const it = at(payload, 'resource', 'comment') ?? at(payload, 'resource');
  const about = at(payload, 'resource', 'pullRequest') ?? null;
  const event = 'pull_request_comment';
  const action = commentAction(it);
  const actor = at(it, 'author');
  const isOfPeople = at(it, 'commentType') !== 'system';
  const said = isOfPeople ? commentOf(at(it, 'content'), at(actor, 'uniqueName')) : {};
  return oneFact({
    ...(about === null
      ? fact({ event, action, repository: null, sender: login(at(actor, 'uniqueName')) })
      : pullRequestFact({ event, action, it: about, actor })),
    ...said,
  });
}

function commentAction(it: unknown): string {
  if (at(it, 'isDeleted') === true) return 'deleted';
  const published = at(it, 'publishedDate');
  const changed = at(it, 'lastUpdatedDate') ?? published;
  return changed === published ? 'created' : 'edited';
}

const OLD_VERSION = /^[A-Z]+:(refs\/.+):([0-9a-f]{40})$/;

function build(payload: Payload): Reading {
  const it = at(payload, 'resource');
  const source = at(it, 'sourceGetVersion');
  const [, oldRef, oldSha] = (typeof source === 'string' && OLD_VERSION.exec(source)) || [];
  const ref = oldRef ?? at(it, 'sourceBranch') ?? null;
  const hasRepository = typeof at(it, 'repository', 'name') === 'string';
  return oneFact(
    fact({
      event: 'pipeline',
      action: actionName(at(it, 'result') ?? at(it, 'status')),
      repository: hasRepository ? repository(at(it, 'repository')) : null,
      ref: ref === null ? null : branch(ref, 'The branch'),
      headSha: sha(oldSha ?? at(it, 'sourceVersion'), 'The commit'),
      sender: login(at(requester(it), 'uniqueName')),
    }),
  );
}

const requester = (it: unknown): unknown =>
  at(it, 'requestedFor') ??
  at(listAt(it, 'requests')[0], 'requestedFor') ??
  at(it, 'lastChangedBy');
