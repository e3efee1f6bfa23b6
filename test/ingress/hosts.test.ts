import { createHmac, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { WebhookSource } from '../../src/platform/webhook-sources.ts';
import { fixture, fixtures, fixturesNote, haveFixtures, readFixture } from './support/fixtures.ts';
import { type TestIngress, planned, post, send, source, startIngress } from './support/ingress.ts';

const SIGNING_TOKEN = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const NOW = new Date('2026-11-20T12:00:00Z');

const secrets: Record<WebhookSource['provider'], readonly string[]> = {
  github: ['hub'],
  gitlab: ['plain token', SIGNING_TOKEN],
  'bitbucket-cloud': ['cloud'],
  'bitbucket-dc': ['dc'],
  'azure-repos': ['hook:p:ä ss'],
  gitea: ['gitea'],
  forgejo: ['forgejo'],
};

let ingress: TestIngress;

beforeAll(async () => {
  ingress = await startIngress({
    clock: () => NOW,
    plan: () => [planned],
    sources: Object.entries(secrets).map(([provider, values]) =>
      source({
        name: provider,
        provider: provider as WebhookSource['provider'],
        secrets: values.map((value) => ({ value, expiresAt: null })),
      }),
    ),
  });
});
afterAll(() => ingress.close());
beforeEach(() => {
  ingress.recorded.deliveries.length = 0;
});

const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' };
const hmac = (key: string | Buffer, body: string | Buffer): string =>
  createHmac('sha256', key).update(body).digest('hex');
const stored = (): number => ingress.recorded.deliveries.length;

/** The last headers win; null leaves one out. */
function headers(
  ...changes: readonly Readonly<Record<string, string | null>>[]
): Record<string, string> {
  const all = Object.assign({}, ...changes) as Record<string, string | null>;
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

describe('GitLab', () => {
  const body = (): string =>
    JSON.stringify({
      object_kind: 'push',
      ref: 'refs/heads/main',
      before: '0'.repeat(40),
      after: 'a'.repeat(40),
      project: {
        path_with_namespace: 'group/sub/app',
        git_http_url: 'https://gitlab.com/group/sub/app.git',
      },
      user_username: 'ada',
      nonce: randomUUID(),
    });
  const sendIt = (change: Readonly<Record<string, string | null>>, text = body()) => {
    const usual = {
      ...JSON_TYPE,
      'x-gitlab-event': 'Push Hook',
      'x-gitlab-token': 'plain token',
      'idempotency-key': randomUUID(),
    };
    return send(ingress, '/webhooks/gitlab', headers(usual, change), text);
  };
  const signed = (text: string, seconds = 0, id = 'id-1') => {
    const timestamp = String(NOW.getTime() / 1000 + seconds);
    const key = Buffer.alloc(32, 7);
    const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64');
    return {
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${digest}`,
      'idempotency-key': id,
      'x-gitlab-token': null,
    };
  };
  const sendSigned = (seconds: number, change: Readonly<Record<string, string | null>> = {}) => {
    const text = body();
    return sendIt({ ...signed(text, seconds, randomUUID()), ...change }, text);
  };

  test('its token is compared whole', async () => {
    expect((await sendIt({})).status).toBe(202);
    const wrong = [
      null,
      '',
      'plain toke',
      'plain token1',
      'x'.repeat(11),
      SIGNING_TOKEN,
      'plain token, plain token',
    ];
    for (const token of wrong) expect((await sendIt({ 'x-gitlab-token': token })).status).toBe(401);
    expect(stored()).toBe(1);
  });

  test('a request with a signature is judged by it alone', async () => {
    expect((await sendSigned(0)).status).toBe(202);
    expect(
      (await sendSigned(0, { 'webhook-signature': 'v1,AAAA', 'x-gitlab-token': 'plain token' }))
        .status,
    ).toBe(401);
    expect(
      (await sendSigned(0, { 'webhook-signature': '', 'x-gitlab-token': 'plain token' })).status,
    ).toBe(401);
    expect((await sendSigned(0, { 'webhook-id': 'another', 'idempotency-key': null })).status).toBe(
      401,
    );
    expect(stored()).toBe(1);
  });

  test('a signature is good for five minutes, either way', async () => {
    for (const seconds of [-360, -301, 301, 360])
      expect((await sendSigned(seconds)).status).toBe(401);
    for (const timestamp of ['', 'now', '1e9', '-1']) {
      expect((await sendSigned(0, { 'webhook-timestamp': timestamp })).status).toBe(401);
    }
    for (const seconds of [-300, 300]) expect((await sendSigned(seconds)).status).toBe(202);
  });

  test('a list of signatures is good when one of at most ten is', async () => {
    const text = body();
    const { 'webhook-signature': good, ...rest } = signed(text, 0, 'list');
    const bad = `v1,${Buffer.alloc(32).toString('base64')}`;
    expect(
      (await sendIt({ ...rest, 'webhook-signature': `${bad} v1a,x ${good}` }, text)).status,
    ).toBe(202);
    const eleven = [...Array.from({ length: 10 }, () => bad), good].join(' ');
    expect((await sendIt({ ...rest, 'webhook-signature': eleven }, text)).status).toBe(401);
  });

  test('the id that is signed is the one that counts', async () => {
    const text = body();
    expect((await sendIt({ ...signed(text), 'idempotency-key': 'other' }, text)).status).toBe(400);
    expect(stored()).toBe(0);
  });

  test('headers and signature of GitHub prove nothing to it', async () => {
    const text = body();
    const { status } = await send(
      ingress,
      '/webhooks/gitlab',
      {
        ...JSON_TYPE,
        'x-github-event': 'push',
        'x-hub-signature-256': `sha256=${hmac('plain token', text)}`,
      },
      text,
    );
    expect(status).toBe(401);
  });

  test.each([
    ['an event under the name of another', { 'x-gitlab-event': 'Merge Request Hook' }, body(), 400],
    ['no event', { 'x-gitlab-event': null }, body(), 400],
    ['an unknown event', { 'x-gitlab-event': 'Vulnerability Hook' }, body(), 200],
    ['a body from a template of the user', {}, '{"text":"hello"}', 200],
    [
      'an unknown action',
      { 'x-gitlab-event': 'Merge Request Hook' },
      mergeRequest('action_we_do_not_support'),
      202,
    ],
    ['a system hook', { 'x-gitlab-event': 'System Hook' }, body(), 202],
    [
      'a system hook about something else',
      { 'x-gitlab-event': 'System Hook' },
      '{"event_name":"project_create"}',
      200,
    ],
  ])('%s', async (_, change, text, status) => {
    expect((await sendIt(change, text)).status).toBe(status);
    expect(stored()).toBe(status === 400 ? 0 : 1);
  });
});

function mergeRequest(action: string): string {
  return JSON.stringify({
    object_kind: 'merge_request',
    project: { path_with_namespace: 'group/app' },
    object_attributes: {
      action,
      iid: 3,
      source_branch: 'roof',
      target_branch: 'main',
      last_commit: { id: 'a'.repeat(40) },
    },
  });
}

describe('Azure', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  const RIGHT = basic('hook:p:ä ss');
  const push = (refUpdates: unknown): string =>
    JSON.stringify({
      subscriptionId: randomUUID(),
      notificationId: 3,
      id: randomUUID(),
      eventType: 'git.push',
      message: null,
      resource: {
        refUpdates,
        repository: {
          name: 'app',
          project: { name: 'team' },
          remoteUrl: 'https://org@dev.azure.com/org/team/_git/app',
        },
      },
    });
  const update = (n = 1) => ({
    name: `refs/heads/b${String(n)}`,
    oldObjectId: '0'.repeat(40),
    newObjectId: 'a'.repeat(40),
  });
  const sendIt = (text: string, authorization: string | null = RIGHT) =>
    send(ingress, '/webhooks/azure-repos', headers(JSON_TYPE, { authorization }), text);

  test('who is not known is asked for basic authentication', async () => {
    const wrong = [
      null,
      'Basic',
      'Basic !!!',
      basic('hook'),
      basic('other:p:ä ss'),
      basic('hook:p:ä'),
      `Bearer ${RIGHT.slice(6)}`,
      'Basic ',
      `${RIGHT}=`,
    ];
    for (const authorization of wrong) {
      const { status, headers: answered } = await sendIt(push([update()]), authorization);
      expect(status).toBe(401);
      expect(answered.get('www-authenticate')).toMatch(/^Basic /);
    }
    expect(stored()).toBe(0);
    expect((await sendIt(push([update()]))).status).toBe(202);
  });

  test.each([[[]], [null], [{}], ['x'], [{ length: 3 }]])(
    'a push of %j has no facts',
    async (refUpdates) => {
      expect((await sendIt(push(refUpdates))).status).toBe(200);
      expect(ingress.recorded.last).toMatchObject({ triggers: [], jobs: [], outcome: 'ignored' });
    },
  );

  test('a push of thousands of branches is cut at a hundred facts, and says so', async () => {
    const { status } = await sendIt(push(Array.from({ length: 5000 }, (_, n) => update(n))));
    expect(status).toBe(202);
    expect(ingress.recorded.last.triggers).toHaveLength(100);
    expect(ingress.recorded.last.reason).toBe(
      'Truncated: only the first 100 of 5000 facts were taken',
    );
    expect(ingress.recorded.last.triggers[0]?.repository?.cloneUrl).toBe(
      'https://dev.azure.com/org/team/_git/app',
    );
  });

  test('the same notification again is a duplicate, and with another body a conflict', async () => {
    const text = push([update()]);
    const other = text.replace('refs/heads/b1', 'refs/heads/b2');
    expect([
      (await sendIt(text)).status,
      (await sendIt(text)).status,
      (await sendIt(other)).status,
    ]).toEqual([202, 200, 409]);
  });

  test('an update tells a push from a vote by its message', async () => {
    const body = (text: string | null): string =>
      JSON.stringify({
        ...JSON.parse(push([])),
        eventType: 'git.pullrequest.updated',
        message: text === null ? null : { text },
        resource: pullRequest,
      });
    const messages = [
      'Ada updated the source branch of pull request 7 (x)',
      'Ada reactivated pull request 7',
      'Ada approved pull request 7',
      null,
    ];
    for (const message of messages) await sendIt(body(message));
    expect(ingress.recorded.deliveries.map(({ action }) => action)).toEqual([
      'synchronize',
      'reopened',
      'updated',
      'updated',
    ]);
  });

  const pullRequest = {
    pullRequestId: 7,
    status: 'active',
    sourceRefName: 'refs/heads/roof',
    targetRefName: 'refs/heads/main',
    repository: { name: 'app', project: { name: 'team' } },
  };

  test.each([
    ['without details', { resource: null, eventType: 'git.pullrequest.created' }, 'unmappable'],
    [
      'of version 1.0, a comment',
      {
        resource: { id: 1, author: { uniqueName: 'ada' } },
        eventType: 'ms.vss-code.git-pullrequest-comment-event',
      },
      'accepted',
    ],
    ['of another kind', { eventType: 'git.repo.created' }, 'ignored'],
  ])('a delivery %s is logged', async (_, change, outcome) => {
    await sendIt(JSON.stringify({ ...JSON.parse(push([])), ...change }));
    expect(ingress.recorded.last.outcome).toBe(outcome);
  });
});

describe('Bitbucket Data Center', () => {
  const ping = (body: string, change: Readonly<Record<string, string | null>> = {}) =>
    send(
      ingress,
      '/webhooks/bitbucket-dc',
      headers(JSON_TYPE, { 'x-event-key': 'diagnostics:ping' }, change),
      body,
    );

  test('its ping needs no signature and leaves nothing', async () => {
    for (const body of ['{"test":true}', '{\n  "test": true\n}']) {
      const answer = await ping(body);
      expect(answer).toMatchObject({ status: 200, body: { jobs: [] } });
    }
    expect(stored()).toBe(0);
  });

  test('anything else without a signature is refused', async () => {
    expect((await ping('{"test":true}', { 'x-event-key': 'pr:opened' })).status).toBe(401);
    expect(
      (await ping('{"test":true}', { 'x-hub-signature': `sha256=${'0'.repeat(64)}` })).status,
    ).toBe(401);
    expect((await ping('{"test":true}', { 'x-hub-signature': '' })).status).toBe(401);
    for (const body of [
      '{"test":true,"a":1}',
      '{"test":false}',
      '[{"test":true}]',
      `{"test":true}${' '.repeat(100)}`,
      '',
    ]) {
      expect((await ping(body)).status).toBe(401);
    }
    expect(stored()).toBe(0);
  });

  test('its ping with a signature is stored', async () => {
    const body = '{"test":true}';
    expect((await ping(body, { 'x-hub-signature': `sha256=${hmac('dc', body)}` })).status).toBe(
      202,
    );
    expect(ingress.recorded.last).toMatchObject({ triggers: [{ event: 'ping' }] });
  });
});

describe.skipIf(!haveFixtures)(`Bitbucket${fixturesNote}`, () => {
  const MIRROR = 'bitbucket-dc/mirror-repo-synchronized__updated__jenkins-bb-mirrorsynchronized';
  const sendFixture = (id: string, change: Readonly<Record<string, string>> = {}) => {
    const { host, file, event_header: event } = fixture(id);
    const body = readFixture(file);
    const signature = `sha256=${hmac(secrets[host][0] ?? '', body)}`;
    return send(
      ingress,
      `/webhooks/${host}`,
      headers(JSON_TYPE, { 'x-event-key': event.value, 'x-hub-signature': signature }, change),
      body,
    );
  };

  test('a mirror starts no job, as the repository has sent the push too', async () => {
    expect(await sendFixture(MIRROR)).toMatchObject({
      status: 200,
      body: { reason: expect.stringContaining('mirror') },
    });
    expect(ingress.recorded.last.triggers).toHaveLength(1);
  });

  test('a batch starts a job for each of its changes', async () => {
    const { status, body } = await sendFixture(
      'bitbucket-cloud/repo-push__updated__jenkins-bb-multiplechangespayload',
    );
    expect(status).toBe(202);
    expect(body['jobs']).toHaveLength(3);
  });

  test.each([
    [MIRROR, 'repo:refs_changed'],
    ['bitbucket-dc/pr-opened__opened__go-scm-pr-open', 'pr:merged'],
    [
      'bitbucket-cloud/pullrequest-created__opened__jenkins-bb-pullrequest-created',
      'pullrequest:fulfilled',
    ],
    ['bitbucket-cloud/pullrequest-created__opened__jenkins-bb-pullrequest-created', 'repo:push'],
    [
      'bitbucket-cloud/pullrequest-comment-created__created__go-scm-pr-comment-created',
      'pullrequest:created',
    ],
  ])('the body of %s under the name %s is refused', async (id, event) => {
    expect((await sendFixture(id, { 'x-event-key': event })).status).toBe(400);
    expect(stored()).toBe(0);
  });

  test('a body of over a mebibyte is more than Bitbucket Cloud sends', async () => {
    const body = `{"a":"${'x'.repeat(1_048_576)}"}`;
    const answer = await send(
      ingress,
      '/webhooks/bitbucket-cloud',
      headers(JSON_TYPE, {
        'x-event-key': 'repo:push',
        'x-hub-signature': `sha256=${hmac('cloud', body)}`,
      }),
      body,
    );
    expect(answer.status).toBe(413);
  });

  test('the signature that was published for a captured delivery verifies', async () => {
    const own = await startIngress({
      sources: [
        source({
          provider: 'bitbucket-cloud',
          secrets: [{ value: 'Gkvl$k$wyNpQAF42', expiresAt: null }],
        }),
      ],
    });
    const body = readFixture(
      fixture('bitbucket-cloud/repo-push__created__jenkins-bb-signed-payload').file,
    );
    const signature = 'sha256=f205c729821c6954aff2afe72b965c34015b4baf96ea8ddc2cc44999c014a035';
    const { status } = await send(
      own,
      '/webhooks/github',
      headers(JSON_TYPE, { 'x-event-key': 'repo:push', 'x-hub-signature': signature }),
      body,
    );
    await own.close();
    expect(status).toBe(200);
  });
});

describe('Gitea and Forgejo', () => {
  const body = (change: Readonly<Record<string, unknown>> = {}): string =>
    JSON.stringify({
      ref: 'refs/heads/main',
      before: '0'.repeat(40),
      after: 'a'.repeat(40),
      repository: { full_name: 'ada/app' },
      sender: { login: 'ada' },
      nonce: randomUUID(),
      ...change,
    });
  const sendTo = (
    provider: 'gitea' | 'forgejo',
    text: string | Buffer,
    change: Readonly<Record<string, string | null>> = {},
  ) =>
    send(
      ingress,
      `/webhooks/${provider}`,
      headers(
        JSON_TYPE,
        {
          'x-gitea-event': 'push',
          'x-gitea-delivery': randomUUID(),
          'x-gitea-signature': hmac(provider, text),
        },
        change,
      ),
      text,
    );

  test('every signature that is there must be right', async () => {
    const text = body();
    const right = hmac('forgejo', text);
    const wrong = '0'.repeat(64);
    for (const change of [
      { 'x-forgejo-signature': wrong },
      { 'x-forgejo-signature': '' },
      { 'x-forgejo-signature': right, 'x-gitea-signature': wrong },
      { 'x-gitea-signature': null },
      { 'x-gitea-signature': '' },
      { 'x-gitea-signature': `sha256=${right}` },
      { 'x-gitea-signature': null, 'x-hub-signature-256': `sha256=${right}` },
    ]) {
      expect((await sendTo('forgejo', text, change)).status).toBe(401);
    }
    expect(
      (await sendTo('forgejo', text, { 'x-forgejo-signature': right, 'x-forgejo-event': 'push' }))
        .status,
    ).toBe(202);
    expect((await sendTo('forgejo', body())).status).toBe(202);
  });

  test('of a form the JSON inside is signed, not the form', async () => {
    const json = body({ title: 'ä+ &%' });
    const form = new URLSearchParams({ payload: json }).toString();
    expect(
      (await sendTo('gitea', form, { ...FORM_TYPE, 'x-gitea-signature': hmac('gitea', json) }))
        .status,
    ).toBe(202);
    expect((await sendTo('gitea', form, FORM_TYPE)).status).toBe(401);
    for (const bad of [
      `${form}&payload=1`,
      `x=1&${form}`,
      'payload=%zz',
      'payload=%f',
      'json',
      '',
    ]) {
      expect(
        (await sendTo('gitea', bad, { ...FORM_TYPE, 'x-gitea-signature': hmac('gitea', json) }))
          .status,
      ).toBe(401);
    }
  });

  test.each(['json', 'form'])(
    'the secret that old versions put into the %s is not stored',
    async (format) => {
      const json = body({ secret: 'hush "h\\ush' });
      const isForm = format === 'form';
      const text = isForm ? new URLSearchParams({ payload: json }).toString() : json;
      const answer = await sendTo(
        'gitea',
        text,
        isForm ? { ...FORM_TYPE, 'x-gitea-signature': hmac('gitea', json) } : {},
      );
      expect(answer.status).toBe(202);
      const kept = ingress.recorded.last.body.toString();
      const keptJson = isForm ? (new URLSearchParams(kept).get('payload') ?? '') : kept;
      expect(keptJson).not.toMatch(/ush/);
      expect(JSON.parse(keptJson)).toEqual({ ...JSON.parse(json), secret: '[redacted]' });
      expect(ingress.log.join('')).not.toContain('hush');
    },
  );
});

describe.skipIf(!haveFixtures)(`every host${fixturesNote}`, () => {
  test.each(fixtures())(
    '$id comes through the door',
    async ({ id, host, file, expected, event_header: event }) => {
      const body = readFixture(file);
      const secret = secrets[host][0] ?? '';
      const digest = hmac(secret, body);
      const proof = {
        github: { 'x-hub-signature-256': `sha256=${digest}` },
        gitlab: { 'x-gitlab-token': secret },
        'bitbucket-cloud': { 'x-hub-signature': `sha256=${digest}` },
        'bitbucket-dc': { 'x-hub-signature': `sha256=${digest}` },
        'azure-repos': { authorization: `Basic ${Buffer.from(secret).toString('base64')}` },
        gitea: { 'x-gitea-signature': digest },
        forgejo: { 'x-forgejo-signature': digest },
      }[host];
      const named = event.name === null ? {} : { [event.name]: event.value };
      const { status } = await send(
        ingress,
        `/webhooks/${host}`,
        headers(JSON_TYPE, proof, named),
        body,
      );

      expect(status).toBe(id.includes('mirror') ? 200 : 202);
      expect(ingress.recorded.last.triggers).toHaveLength(expected.length);
    },
  );

  test('a delivery of one host is refused by the others', async () => {
    const [first] = fixtures('github');
    const body = readFixture(first!.file);
    for (const host of Object.keys(secrets).filter((name) => name !== 'github')) {
      expect((await post(ingress, body, {}, `/webhooks/${host}`)).status).toBe(401);
    }
  });
});
