import { expect, test } from 'vitest';

import { readAgain } from '../../../src/ingress/redelivery/read-again.ts';
import { carryOut } from '../../../src/ingress/webhooks/interpreter.ts';
import type { WebhookSource } from '../../../src/platform/webhook-sources.ts';
import type { StoredDelivery } from '../../../src/write/door.ts';
import { trigger } from '../../support/jobs.ts';
import { push } from '../../support/webhooks.ts';

const source = (change: Partial<WebhookSource> = {}): WebhookSource => ({
  name: 'github',
  provider: 'github',
  secrets: [],
  repositories: null,
  maxPerMinute: null,
  allowedIps: null,
  ...change,
});

const stored = (change: Partial<StoredDelivery> = {}): StoredDelivery => ({
  source: 'github',
  provider: 'github',
  deliveryId: 'guid-1',
  event: 'push',
  outcome: 'accepted',
  triggers: [trigger],
  headers: {
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-github-delivery': 'guid-1',
    'x-hub-signature-256': '[redacted]',
  },
  body: Buffer.from(JSON.stringify(push('octo/repo'))),
  ...change,
});

const planned = {
  workflow: 'any',
  priority: 5,
  concurrency: null,
  retry: { maxAttempts: 1, firstDelayMs: 1, maxDelayMs: 1 },
};

const read = (
  delivery: StoredDelivery,
  sources: readonly WebhookSource[] = [source()],
  withoutSource = false,
) =>
  readAgain(delivery, {
    sources,
    plan: () => [planned],
    localClones: [],
    interpret: (order) => Promise.resolve(carryOut(order)),
    withoutSource,
  });

test('a delivery is read again from its bytes, whatever it was taken for', async () => {
  const again = await read(stored({ outcome: 'unmappable', triggers: [] }));
  expect(again).toMatchObject({ triggers: [{ event: 'push', ref: 'main' }], jobs: [{ planned }] });
});

test.each([
  ['filters', { filters: { except: { branch: ['main'] } } }],
  ['repositories', { repositories: ['octo/other'] }],
  ['own accounts', { ownAccounts: ['octocat'] }],
])('the %s of the source as they are now hold, with and without the body', async (_, rules) => {
  expect(await read(stored(), [source(rules)])).toMatchObject({
    jobs: [],
    reason: expect.stringContaining('github') as string,
  });
  const kept = { ...trigger, ref: 'main', pullRequest: null };
  const left = stored({ body: null, triggers: [{ ...kept, event: 'push' }] });
  expect((await read(left, [source(rules)])).jobs).toEqual([]);
  expect((await read(left)).jobs).toHaveLength(1);
});

test('what was ignored cannot be read again without its body, and says so', async () => {
  expect(await read(stored({ body: null, outcome: 'ignored' }))).toMatchObject({
    jobs: [],
    reason: expect.stringContaining('body was removed') as string,
  });
});

test('a source that is not configured, or is of another host now, is refused unless it was named', async () => {
  const rejected = { name: 'Rejected', reason: 'source-not-configured' };
  await expect(read(stored(), [])).rejects.toMatchObject(rejected);
  await expect(read(stored(), [source({ provider: 'gitlab' })], true)).rejects.toMatchObject(
    rejected,
  );
  expect((await read(stored(), [], true)).jobs).toHaveLength(1);
});
