import { createHmac } from 'node:crypto';

import { afterEach, describe, expect, test } from 'vitest';

import { type Hint, diagnose } from '../../src/ingress/webhooks/diagnose.ts';
import type { WebhookSource } from '../../src/platform/webhook-sources.ts';
import {
  SECRET,
  type TestIngress,
  post,
  pullRequestBody,
  source,
  startIngress,
} from './support/ingress.ts';

const now = new Date('2026-01-02T03:04:05Z');
const LATER = new Date('2026-01-03T00:00:00Z');
const EARLIER = new Date('2026-01-01T00:00:00Z');
const TOKEN = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;

const hmac = (body: string | Buffer, secret: string = SECRET): string =>
  createHmac('sha256', secret).update(body).digest('hex');

type Given = Readonly<{
  provider?: WebhookSource['provider'];
  secrets?: WebhookSource['secrets'];
  headers: Readonly<Record<string, string>>;
  body?: string;
}>;

function hint({ provider = 'github', secrets, headers, body = '{}\n' }: Given): Hint {
  const of = source({ name: 's', provider, ...(secrets ? { secrets } : {}) });
  return diagnose(of, { headers, body: Buffer.from(body), format: 'json', now });
}

const github = (signature: string) => ({
  'x-github-event': 'push',
  'x-hub-signature-256': signature,
});
const secret = (value: string, expiresAt: Date | null = null) => ({ value, expiresAt });
const standard = (at: Date, body = '{}\n'): Record<string, string> => {
  const timestamp = String(at.getTime() / 1000);
  const key = Buffer.from(TOKEN.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', key).update(`id.${timestamp}.${body}`).digest('base64');
  return {
    'webhook-id': 'id',
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
};

describe('what was wrong with a signature', () => {
  test.each<readonly [string, Hint, Given]>([
    ['no header', 'signature-missing', { headers: {} }],
    ['only SHA-1', 'signature-sha1', { headers: { 'x-hub-signature': 'sha1=00' } }],
    [
      'upper case',
      'signature-malformed',
      { headers: github(`sha256=${hmac('{}\n').toUpperCase()}`) },
    ],
    ['another secret', 'secret-differs', { headers: github(`sha256=${hmac('{}\n', 'other')}`) }],
    [
      'a line break in the secret',
      'secret-ends-with-newline',
      { headers: github(`sha256=${hmac('{}\n', `${SECRET}\n`)}`) },
    ],
    [
      'a line break that was taken away',
      'body-changed',
      { headers: github(`sha256=${hmac('{}\n')}`), body: '{}' },
    ],
    ['a line break that was added', 'body-changed', { headers: github(`sha256=${hmac('{}')}`) }],
    [
      'line breaks of Windows',
      'body-changed',
      { headers: github(`sha256=${hmac('{\r\n}\r\n')}`), body: '{\n}\n' },
    ],
    [
      'a secret of yesterday',
      'secret-expired',
      {
        secrets: [secret('new', LATER), secret('old', EARLIER)],
        headers: github(`sha256=${hmac('{}\n', 'old')}`),
      },
    ],
    [
      'nothing but secrets of yesterday',
      'no-valid-secret',
      {
        secrets: [secret('old', EARLIER)],
        headers: github(`sha256=${hmac('{}\n', 'old')}`),
      },
    ],
    ["GitLab's headers for GitHub", 'other-host', { headers: { 'x-gitlab-event': 'Push Hook' } }],
    ["GitHub's headers for Gitea", 'other-host', { provider: 'gitea', headers: github('sha256=') }],
    [
      "Gitea's empty signature",
      'signature-missing',
      {
        provider: 'gitea',
        headers: { 'x-gitea-event': 'push', 'x-github-event': 'push', 'x-gitea-signature': '' },
      },
    ],
    [
      "GitLab's token where a signing token is",
      'wrong-kind-of-token',
      {
        provider: 'gitlab',
        secrets: [secret(TOKEN)],
        headers: { 'x-gitlab-token': 'plain' },
      },
    ],
    [
      "GitLab's wrong token",
      'secret-differs',
      { provider: 'gitlab', headers: { 'x-gitlab-token': 'plain' } },
    ],
    [
      "GitLab's old signature",
      'clock-differs',
      {
        provider: 'gitlab',
        secrets: [secret(TOKEN)],
        headers: standard(EARLIER),
      },
    ],
    [
      "GitLab's signature of another body",
      'secret-differs',
      {
        provider: 'gitlab',
        secrets: [secret(TOKEN)],
        headers: standard(now, '{"a":1}'),
      },
    ],
    [
      "Azure's wrong password",
      'secret-differs',
      {
        provider: 'azure-repos',
        headers: { authorization: `Basic ${Buffer.from('u:p').toString('base64')}` },
      },
    ],
    ["no password of Azure's", 'signature-missing', { provider: 'azure-repos', headers: {} }],
  ])('%s', (_, expected, given) => {
    expect(hint(given)).toBe(expected);
  });

  test('a large body is not tried again', () => {
    const body = `{}${' '.repeat(70_000)}`;
    expect(hint({ headers: github(`sha256=${hmac(`${body}\n`)}`), body })).toBe('secret-differs');
  });
});

describe('an ingress', () => {
  let ingress: TestIngress;
  afterEach(() => ingress.close());

  test('counts the reason and logs it, and does not tell the sender', async () => {
    ingress = await startIngress();
    const { status, body } = await post(ingress, pullRequestBody(), {
      'x-hub-signature-256': null,
    });

    expect(status).toBe(401);
    expect(ingress.metrics.hints).toEqual(['github signature-missing']);
    expect(ingress.log.join('')).toContain('"hint":"signature-missing"');
    expect(JSON.stringify(body)).not.toContain('signature-missing');
    expect(ingress.recorded.deliveries).toEqual([]);
  });
});
