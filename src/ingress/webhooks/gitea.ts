import { formBody, formPayload } from './form.ts';
import {
  assertOneNumber,
  createOrDelete,
  issueComment,
  pullRequestFact,
  push,
} from './github-shapes.ts';
import { parseObject } from './json.ts';
import { type Payload, at, has } from './payload.ts';
import {
  Malformed,
  type Reading,
  USUAL,
  type UnverifiedDelivery,
  type Verdict,
  type WebhookProvider,
} from './provider.ts';
import { type EventKind, identifyBy, oneFact, readAs } from './reading.ts';
import { hexDigest, isSignedByAny } from './signature.ts';

/** Gitea. It sends GitHub's headers too, which mean nothing here. */
export const gitea: WebhookProvider = {
  ...USUAL,
  name: 'gitea',
  formats: ['json', 'form'],
  verify,
  identify: identifyBy('x-gitea-event', 'x-gitea-delivery'),
  read: (event, payload) => readAs(EVENTS, event, payload),
  redact,
};

const identifyForgejo = identifyBy('x-forgejo-event', 'x-forgejo-delivery');

/** Forgejo, which goes on sending Gitea's headers; old versions send only those. */
export const forgejo: WebhookProvider = {
  ...gitea,
  name: 'forgejo',
  identify: (headers, payload) =>
    headers['x-forgejo-event'] === undefined
      ? gitea.identify(headers, payload)
      : identifyForgejo(headers),
};

const SIGNATURES = ['x-forgejo-signature', 'x-gitea-signature'];

/** Every signature that is there must be right. Unlike GitHub's, it is made over the JSON inside a form. */
function verify({ headers, body, format, secrets }: UnverifiedDelivery): Verdict {
  const given = SIGNATURES.flatMap((name) => headers[name] ?? []);
  const signed = format === 'form' ? insideForm(body) : body;
  if (given.length === 0 || signed === null) return 'not-authentic';
  const right = given.map((value) => isSignedByAny(hexDigest(value, ''), secrets, signed));
  return right.every(Boolean) ? 'authentic' : 'not-authentic';
}

function insideForm(body: Buffer): Buffer | null {
  try {
    return formPayload(body);
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

const EVENTS: Readonly<Record<string, EventKind>> = {
  push: {
    has: ['ref', 'before', 'after'],
    hasNot: ['ref_type', 'pull_request'],
    read: (payload) => push(payload, (after) => after),
  },
  create: {
    has: ['ref', 'ref_type', 'sha'],
    hasNot: ['after'],
    read: createOrDelete('created'),
  },
  delete: { has: ['ref', 'ref_type'], hasNot: ['after', 'sha'], read: createOrDelete('deleted') },
  pull_request: {
    has: ['action', 'pull_request'],
    hasNot: ['review', 'comment', 'issue'],
    read: pullRequest,
  },
  pull_request_approved: review('approved'),
  pull_request_rejected: review('rejected'),
  pull_request_comment: {
    has: ['action'],
    hasNot: ['after'],
    // Old versions say so of a comment outside of a review too.
    read: (payload) =>
      has(payload, 'comment') ? issueComment(payload) : readReview(payload, 'commented'),
  },
  issue_comment: { has: ['action', 'comment', 'issue'], hasNot: [], read: issueComment },
};

/** Gitea's own words for what GitHub has others for. */
const ACTIONS: Readonly<Record<string, string>> = {
  synchronized: 'synchronize',
  label_updated: 'labeled',
  label_cleared: 'unlabeled',
};

function pullRequest(payload: Payload): Reading {
  const about = pullRequestFact('pull_request', payload);
  assertOneNumber(payload, about);
  const merged = about.action === 'closed' && at(payload, 'pull_request', 'merged') === true;
  const known = Object.hasOwn(ACTIONS, about.action) ? ACTIONS[about.action] : undefined;
  return oneFact({ ...about, action: merged ? 'merged' : (known ?? about.action) });
}

/** The action of every review is "reviewed"; what it says is in the event's name. */
function review(action: string): EventKind {
  return {
    has: ['action', 'pull_request', 'review'],
    hasNot: ['comment'],
    read: (payload) => readReview(payload, action),
  };
}

function readReview(payload: Payload, action: string): Reading {
  // Other events of pull requests have the field too, with nothing in it.
  if (!has(payload, 'review') || !has(payload, 'pull_request'))
    throw new Malformed('The header names a review but the body has none');
  return oneFact({ ...pullRequestFact('pull_request_review', payload), action });
}

const SECRET_KEY = '"secret"';
const SECRET_FIELD = /"secret"(\s*:\s*)"(?:[^"\\]|\\.)+"/g;
const REDACTED = '[redacted]';

/** Old versions put the hook's secret into the payload. */
function redact({
  body,
  format,
  payload,
}: Parameters<WebhookProvider['redact']>[0]): Buffer | null {
  const own = at(payload, 'secret');
  const hasOwn = typeof own === 'string' && own !== '';
  const json = format === 'form' ? formPayload(body) : body;
  if (!hasOwn && !json.includes(SECRET_KEY)) return null;
  const text = json.toString();
  let redacted = text.replaceAll(SECRET_FIELD, `${SECRET_KEY}$1"${REDACTED}"`);
  // The name of the field may be written with escapes.
  if (hasOwn && at(parseObject(Buffer.from(redacted)), 'secret') !== REDACTED) {
    redacted = JSON.stringify({ ...payload, secret: REDACTED });
  }
  if (redacted === text) return null;
  return format === 'form' ? formBody(redacted) : Buffer.from(redacted);
}
