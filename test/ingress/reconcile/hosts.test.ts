import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { WebhookSource } from '../../../src/platform/webhook-sources.ts';
import { type HostServer, serve } from '../../workflows/reporting/support/fake-host.ts';
import { NOW, type Log, TOKEN, never, openLog, source } from './support.ts';

let log: Log;
let host: HostServer;
beforeAll(async () => {
  log = await openLog();
});
afterAll(async () => {
  await log.close();
});
beforeEach(async () => {
  await log.wipe();
});
afterEach(async () => {
  await host.close();
});

type Numbered = { number: number; head: string };
type Routes = Parameters<typeof serve>[2];

const ok = (body: unknown) => ({ status: 200, body });
const BASE = 'b'.repeat(40);

const gitea = (open: Numbered[]): Routes => [
  [
    'GET',
    '/repos/acme/shop/pulls',
    (_, { query }) => {
      const size = Number(query.get('limit'));
      const page = Number(query.get('page'));
      const repo = {
        full_name: 'acme/shop',
        html_url: 'https://git.example/acme/shop',
        clone_url: 'https://git.example/acme/shop.git',
      };
      return ok(
        open.slice((page - 1) * size, page * size).map(({ number, head }) => ({
          number,
          title: 'A change',
          html_url: `https://git.example/acme/shop/pulls/${String(number)}`,
          user: { login: 'ada' },
          head: { ref: 'feature', sha: head, repo },
          base: { ref: 'main', sha: BASE, repo },
        })),
      );
    },
  ],
];

const gitlab = (open: Numbered[]): Routes => [
  [
    'GET',
    '/projects/:project/merge_requests',
    ({ project }, { query }) => {
      if (project !== 'acme/shop' || query.get('state') !== 'opened') return { status: 404 };
      const size = Number(query.get('per_page'));
      const page = Number(query.get('page'));
      return ok(
        open.slice((page - 1) * size, page * size).map(({ number, head }) => ({
          iid: number,
          title: 'A change',
          web_url: `https://git.example/acme/shop/-/merge_requests/${String(number)}`,
          sha: head,
          source_branch: 'feature',
          target_branch: 'main',
          source_project_id: 1,
          target_project_id: 1,
          author: { username: 'ada' },
        })),
      );
    },
  ],
  [
    'GET',
    '/projects/:project',
    () =>
      ok({
        path_with_namespace: 'acme/shop',
        web_url: 'https://git.example/acme/shop',
        http_url_to_repo: 'https://git.example/acme/shop.git',
      }),
  ],
];

const bitbucketCloud = (open: Numbered[]): Routes => [
  [
    'GET',
    '/repositories/acme/shop/pullrequests',
    (_, { query }) => {
      const size = Number(query.get('pagelen'));
      const page = Number(query.get('page'));
      const repository = {
        full_name: 'acme/shop',
        links: { html: { href: 'https://git.example/acme/shop' } },
      };
      const values = open.slice((page - 1) * size, page * size).map(({ number, head }) => ({
        id: number,
        title: 'A change',
        links: { html: { href: `https://git.example/acme/shop/pull-requests/${String(number)}` } },
        author: { nickname: 'ada' },
        source: { branch: { name: 'feature' }, commit: { hash: head.slice(0, 12) }, repository },
        destination: {
          branch: { name: 'main' },
          commit: { hash: BASE.slice(0, 12) },
          repository,
        },
      }));
      const next = page * size < open.length ? { next: 'https://elsewhere.example/?page=2' } : {};
      return ok({ values, ...next });
    },
  ],
];

const bitbucketDc = (open: Numbered[]): Routes => [
  [
    'GET',
    '/api/latest/projects/acme/repos/shop/pull-requests',
    (_, { query }) => {
      // It gives fewer than it was asked for.
      const size = 30;
      const start = Number(query.get('start'));
      const repository = {
        slug: 'shop',
        project: { key: 'acme' },
        links: { clone: [{ name: 'http', href: 'https://git.example/acme/shop.git' }] },
      };
      const isLastPage = start + size >= open.length;
      return ok({
        values: open.slice(start, start + size).map(({ number, head }) => ({
          id: number,
          title: 'A change',
          author: { user: { name: 'ada' } },
          fromRef: { displayId: 'feature', latestCommit: head, repository },
          toRef: { displayId: 'main', latestCommit: BASE, repository },
          links: { self: [{ href: 'https://git.example/acme/shop/pull' }] },
        })),
        isLastPage,
        nextPageStart: isLastPage ? null : start + size,
      });
    },
  ],
];

const azure = (open: Numbered[]): Routes => [
  [
    'GET',
    '/acme/_apis/git/repositories/shop/pullrequests',
    (_, { query }) => {
      const top = Number(query.get('$top'));
      const skip = Number(query.get('$skip'));
      return ok({
        value: open.slice(skip, skip + top).map(({ number, head }) => ({
          pullRequestId: number,
          title: 'A change',
          createdBy: { uniqueName: 'ada' },
          sourceRefName: 'refs/heads/feature',
          targetRefName: 'refs/heads/main',
          lastMergeSourceCommit: { commitId: head },
          lastMergeTargetCommit: { commitId: BASE },
        })),
      });
    },
  ],
  [
    'GET',
    '/acme/_apis/git/repositories/shop',
    () =>
      ok({
        name: 'shop',
        project: { name: 'acme' },
        remoteUrl: 'https://acme@git.example/acme/shop.git',
        webUrl: 'https://git.example/acme/shop',
      }),
  ],
];

const HOSTS = {
  gitea,
  forgejo: gitea,
  gitlab,
  'bitbucket-cloud': bitbucketCloud,
  'bitbucket-dc': bitbucketDc,
  'azure-repos': azure,
} as const;

type HostName = keyof typeof HOSTS;
const names = Object.keys(HOSTS) as HostName[];

const CREDENTIALS: Record<HostName, [string, string]> = {
  gitea: ['authorization', `token ${TOKEN}`],
  forgejo: ['authorization', `token ${TOKEN}`],
  gitlab: ['private-token', TOKEN],
  'bitbucket-cloud': ['authorization', `Bearer ${TOKEN}`],
  'bitbucket-dc': ['authorization', `Bearer ${TOKEN}`],
  'azure-repos': ['authorization', `Basic ${Buffer.from(`:${TOKEN}`).toString('base64')}`],
};

async function play(name: HostName, open: Numbered[]) {
  const [header, value] = CREDENTIALS[name];
  host = await serve('', (headers) => headers[header] === value, HOSTS[name](open));
  return { [name]: { token: TOKEN, apiUrl: host.apiUrl } };
}

const of = (name: HostName, change: Partial<WebhookSource> = {}) =>
  source({ provider: name, ...change });
const head = (n: number) => n.toString(16).padStart(12, '0').padEnd(40, 'a');
const many = (count: number): Numbered[] =>
  Array.from({ length: count }, (_, n) => ({ number: n + 1, head: head(n + 1) }));
const really = { dryRun: false, signal: never };

describe.each(names)('%s', (name) => {
  const shown = (sha: string) => (name === 'bitbucket-cloud' ? sha.slice(0, 12) : sha);

  test('gets jobs for the heads of its open pull requests that nobody has told of, over all pages, once', async () => {
    const access = await play(name, many(130));
    await log.came('seen', { number: 2, head: shown(head(2)) });
    await log.came('moved-on', { number: 3, head: shown('e'.repeat(40)) });
    const reconciler = log.reconciler(access);
    expect((await reconciler.reconcile(of(name), { ...really, dryRun: true }))?.heads).toHaveLength(
      129,
    );
    expect(await log.requested()).toEqual([]);
    const report = await reconciler.reconcile(of(name), really);
    expect(report).toMatchObject({ repositories: 1, problems: [] });
    expect(report?.heads).toHaveLength(129);
    const requested = await log.requested();
    expect(requested).toHaveLength(129);
    expect(requested[0]).toMatchObject({
      provider: name,
      source: 'shop',
      event: 'pull_request',
      action: 'opened',
      repository: { fullName: 'acme/shop', cloneUrl: 'https://git.example/acme/shop.git' },
      pullRequest: {
        number: 1,
        title: 'A change',
        headRepository: 'acme/shop',
        baseBranch: 'main',
      },
      ref: 'feature',
      headSha: shown(head(1)),
      sender: 'ada',
    });
    expect(requested[1]).toMatchObject({ action: 'synchronize', pullRequest: { number: 3 } });
    expect((await log.reconciler(access).reconcile(of(name), really))?.heads).toEqual([]);
    expect(await log.requested()).toHaveLength(129);
  });

  test('starts nothing that the source leaves out', async () => {
    const access = await play(name, many(3));
    const filtered = of(name, { filters: { except: { author: ['ada'] } } });
    expect((await log.reconciler(access).reconcile(filtered, really))?.heads).toEqual([]);
  });

  test.each([401, 403, 404, 500, 503])('is left alone when it answers with %i', async (status) => {
    const access = await play(name, many(3));
    host.faults.push({ answer: { status, body: { message: 'no' } } });
    const report = await log.reconciler(access).reconcile(of(name), really);
    expect(report?.problems).toHaveLength(1);
    expect(report?.heads).toEqual([]);
    expect(await log.requested()).toEqual([]);
  });

  test('that cuts the connection, or answers in another shape, is a problem', async () => {
    const access = await play(name, many(3));
    host.faults.push({ cut: 'before' }, { answer: ok({ what: 'else' }) });
    for (let n = 0; n < 2; n += 1) {
      const report = await log.reconciler(access).reconcile(of(name), really);
      expect(report?.problems).toHaveLength(1);
      expect(report?.heads).toEqual([]);
    }
  });
});

test('a head that was pushed a moment ago gets its delivery first', async () => {
  const access = await play('gitea', many(1));
  let now = NOW;
  const reconciler = log.reconciler(access, { graceMs: 120_000, clock: () => now });
  expect((await reconciler.reconcile(of('gitea'), really))?.heads).toEqual([]);
  now = new Date(NOW.getTime() + 119_000);
  expect((await reconciler.reconcile(of('gitea'), really))?.heads).toEqual([]);
  now = new Date(NOW.getTime() + 121_000);
  expect((await reconciler.reconcile(of('gitea'), really))?.heads).toHaveLength(1);
});

test('one repository that is not there does not keep the others from being asked about', async () => {
  const access = await play('gitea', many(1));
  const both = of('gitea', { repositories: ['acme/gone', 'acme/shop'] });
  const report = await log.reconciler(access).reconcile(both, really);
  expect(report?.problems).toHaveLength(1);
  expect(report?.heads).toHaveLength(1);
});
