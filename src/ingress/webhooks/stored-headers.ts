import type { Headers } from './provider.ts';

/**
 * Headers whose values are stored. Everything else is stored by name only: hosts let their users add
 * headers of any name, mostly to carry a secret.
 */
const HARMLESS = new Set([
  'accept',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'request-id',
  'transfer-encoding',
  'user-agent',
  'webhook-id',
  'webhook-timestamp',
  'x-attempt-number',
  'x-event-key',
  'x-event-time',
  'x-hook-uuid',
  'x-request-id',
  'x-request-uuid',
  'x-vss-activityid',
  'x-vss-subscriptionid',
  'x-gitlab-event',
  'x-gitlab-event-uuid',
  'x-gitlab-instance',
  'x-gitlab-webhook-uuid',
]);

const HARMLESS_FAMILY =
  /^x-(?:github|gitea|forgejo|gogs)-(?:event|event-type|delivery|hook-id|hook-installation-target-(?:type|id)|enterprise-(?:version|host))$/;

const LONGEST = 1024;

/** A delivery's headers as the delivery log keeps them: without secrets, signatures and control characters. */
export function storedHeaders(headers: Headers): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      HARMLESS.has(name) || HARMLESS_FAMILY.test(name) ? printable(value) : '[redacted]',
    ]),
  );
}

const printable = (value: string): string => value.slice(0, LONGEST).replace(/\p{Cc}/gu, '\uFFFD');
