import { createHmac } from 'node:crypto';

import type { WebhookSource } from '../platform/webhook-sources.ts';
import { CannotRun } from '../processes/run-role.ts';

type Delivery = Readonly<{ body: Buffer; event: string; deliveryId: string }>;

/** The headers that the source's host would send with the body, signed with the newest secret. */
export function signedHeaders(source: WebhookSource, delivery: Delivery): Record<string, string> {
  const [secret] = source.secrets;
  if (secret === undefined) throw new CannotRun(`The source "${source.name}" has no secret`);
  return {
    'content-type': 'application/json',
    'user-agent': 'jobledger-webhooks-send',
    ...HEADERS[source.provider](delivery, secret.value),
  };
}

const hmac = (secret: string, body: Buffer): string =>
  createHmac('sha256', secret).update(body).digest('hex');

const HEADERS: Readonly<
  Record<WebhookSource['provider'], (delivery: Delivery, secret: string) => Record<string, string>>
> = {
  github: ({ body, event, deliveryId }, secret) => ({
    'x-github-event': event,
    'x-github-delivery': deliveryId,
    'x-hub-signature-256': `sha256=${hmac(secret, body)}`,
  }),
  gitlab: ({ body, event, deliveryId }, secret) => ({
    'x-gitlab-event': event,
    'idempotency-key': deliveryId,
    ...(secret.startsWith('whsec_')
      ? standardWebhook(body, deliveryId, secret)
      : { 'x-gitlab-token': secret }),
  }),
  'bitbucket-cloud': ({ body, event, deliveryId }, secret) => ({
    'x-event-key': event,
    'x-request-uuid': deliveryId,
    'x-hub-signature': `sha256=${hmac(secret, body)}`,
  }),
  'bitbucket-dc': ({ body, event, deliveryId }, secret) => ({
    'x-event-key': event,
    'x-request-id': deliveryId,
    'x-hub-signature': `sha256=${hmac(secret, body)}`,
  }),
  'azure-repos': (_, secret) => ({
    authorization: `Basic ${Buffer.from(secret).toString('base64')}`,
  }),
  gitea: ({ body, event, deliveryId }, secret) => ({
    'x-gitea-event': event,
    'x-gitea-delivery': deliveryId,
    'x-gitea-signature': hmac(secret, body),
  }),
  forgejo: ({ body, event, deliveryId }, secret) => ({
    'x-forgejo-event': event,
    'x-forgejo-delivery': deliveryId,
    'x-forgejo-signature': hmac(secret, body),
    'x-gitea-event': event,
    'x-gitea-delivery': deliveryId,
    'x-gitea-signature': hmac(secret, body),
  }),
};

/** GitLab's signing tokens follow Standard Webhooks: https://www.standardwebhooks.com */
function standardWebhook(body: Buffer, id: string, token: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const key = Buffer.from(token.slice('whsec_'.length), 'base64');
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const signature = createHmac('sha256', key).update(signed).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
}
