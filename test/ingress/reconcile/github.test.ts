import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { fakeGithub } from './fake-github.ts';
import { NOW, type Log, TOKEN, ago, never, openLog, source } from './support.ts';

let log: Log;
beforeAll(async () => {
  log = await openLog();
});
afterAll(async () => {
  await log.close();
});

let github: Awaited<ReturnType<typeof fakeGithub>>;
beforeEach(async () => {
  await log.wipe();
});
afterEach(async () => {
  await github.close();
});

const HOUR = 3_600_000;
const BIG = '177163770002440192';

const run = (reconciler: ReturnType<Log['reconciler']>, dryRun = false) =>
  reconciler.reconcile(source(), { dryRun, signal: never });

describe('GitHub', () => {
  test('is asked to send again what the log does not have, the oldest first, and once', async () => {
    github = await fakeGithub({
      sent: [
        { id: '5', guid: 'fresh', at: ago(60_000) },
        { id: BIG, guid: 'lost-2', at: ago(HOUR) },
        { id: '3', guid: 'known', at: ago(2 * HOUR), status: 200 },
        { id: '2', guid: 'lost-1', at: ago(3 * HOUR), status: 500 },
        { id: '1', guid: 'lost-1', at: ago(4 * HOUR), status: 500 },
        { id: '0', guid: 'too-old', at: ago(80 * HOUR) },
      ],
    });
    await log.came('known');
    const dry = await run(log.reconciler(github.access), true);
    expect(dry).toMatchObject({
      repositories: 1,
      problems: [],
      heads: [],
      deliveries: [
        { deliveryId: 'lost-1', statusCode: 500 },
        { deliveryId: 'lost-2', statusCode: 502 },
      ],
    });
    expect(github.redelivered).toEqual([]);
    expect((await run(log.reconciler(github.access)))?.deliveries).toHaveLength(2);
    expect(github.redelivered).toEqual(['2', BIG]);
    // Another process, which has looked at nothing yet.
    expect((await run(log.reconciler(github.access)))?.deliveries).toEqual([]);
    expect(github.redelivered).toHaveLength(2);
  });

  test('is not asked a second time for the pages that were looked at', async () => {
    github = await fakeGithub({
      sent: Array.from({ length: 9 }, (_, n) => ({
        id: String(n),
        guid: `g${String(n)}`,
        at: ago((n + 1) * HOUR),
        status: 200,
      })),
    });
    for (let n = 0; n < 9; n += 1) await log.came(`g${String(n)}`);
    const reconciler = log.reconciler(github.access);
    await run(reconciler);
    const pages = () => github.requests.filter(({ path }) => path.endsWith('/deliveries')).length;
    expect(pages()).toBe(5);
    await run(reconciler);
    expect(pages()).toBe(6);
  });

  test('is asked about the hook of the organisation, and about no hook of others', async () => {
    github = await fakeGithub({
      ofOrganisation: true,
      sent: [{ id: '1', guid: 'lost', at: ago(HOUR) }],
    });
    expect((await run(log.reconciler(github.access)))?.deliveries).toMatchObject([
      { deliveryId: 'lost' },
    ]);
    await github.close();
    github = await fakeGithub({
      url: 'https://hooks.example.com/webhooks/another',
      sent: [{ id: '1', guid: 'lost', at: ago(HOUR) }],
    });
    await log.wipe();
    expect((await run(log.reconciler(github.access)))?.deliveries).toEqual([]);
  });

  test('whose hooks the token may not see is asked for its open pull requests', async () => {
    const repository = {
      full_name: 'acme/shop',
      html_url: 'https://github.com/acme/shop',
      clone_url: 'https://github.com/acme/shop.git',
    };
    github = await fakeGithub({
      isHidden: true,
      pulls: [
        {
          number: 3,
          title: 'A change',
          html_url: 'https://github.com/acme/shop/pull/3',
          user: { login: 'ada' },
          head: { ref: 'feature', sha: 'c'.repeat(40), repo: { full_name: 'ada/shop' } },
          base: { ref: 'main', sha: 'd'.repeat(40), repo: repository },
        },
      ],
    });
    expect(await run(log.reconciler(github.access))).toMatchObject({
      deliveries: [],
      heads: [{ repository: 'acme/shop', pullRequest: 3, headSha: 'c'.repeat(40) }],
    });
  });

  test.each([
    ['a wrong token', { status: 401, body: { message: 'Bad credentials' } }, /GITHUB_TOKEN/],
    ['a failure', { status: 502, body: 'Bad gateway' }, /502/],
    ['no JSON', { status: 200, body: '<html>' }, /no JSON/],
  ])('that answers with %s is a problem, and nothing else', async (_, answer, said) => {
    github = await fakeGithub({ sent: [{ id: '1', guid: 'lost', at: ago(HOUR) }] });
    github.faults.push({ answer });
    const report = await run(log.reconciler(github.access));
    expect(report?.problems).toHaveLength(1);
    expect(report?.problems[0]).toMatch(said);
    expect(report?.problems[0]).not.toContain(TOKEN);
    expect(github.redelivered).toEqual([]);
  });

  test('that limits the rate is left alone until it said, and what was asked for before stays asked for', async () => {
    github = await fakeGithub({
      sent: [
        { id: '2', guid: 'lost-2', at: ago(HOUR) },
        { id: '1', guid: 'lost-1', at: ago(2 * HOUR) },
      ],
    });
    const reset = String(NOW.getTime() / 1000 + 600);
    github.faults.push({
      on: ({ path }) => path.endsWith('/2/attempts'),
      answer: {
        status: 403,
        body: { message: 'API rate limit exceeded' },
        headers: { 'x-ratelimit-remaining': '0', 'retry-after': '600', 'x-ratelimit-reset': reset },
      },
    });
    let now = NOW;
    const reconciler = log.reconciler(github.access, { clock: () => now });
    const limited = await run(reconciler);
    expect(limited?.deliveries).toMatchObject([{ deliveryId: 'lost-1' }]);
    expect(limited?.problems[0]).toMatch(/limits the rate/);
    const before = github.requests.length;
    now = new Date(NOW.getTime() + 599_000);
    expect((await run(reconciler))?.problems[0]).toMatch(/left alone until/);
    expect(github.requests).toHaveLength(before);
    now = new Date(NOW.getTime() + 601_000);
    expect((await run(reconciler))?.deliveries).toMatchObject([{ deliveryId: 'lost-2' }]);
    expect(github.redelivered).toEqual(['1', '2']);
  });

  test('without a token is asked nothing', async () => {
    github = await fakeGithub();
    expect(await run(log.reconciler({}))).toBeNull();
    expect(github.requests).toEqual([]);
  });
});

describe('the repositories', () => {
  const asked = () => [
    ...new Set(
      github.requests.map(({ path }) => path).filter((path) => path.startsWith('/repos/')),
    ),
  ];

  test('are those that the source has told of lately, where it is for all', async () => {
    github = await fakeGithub();
    await log.came('1', { repository: 'acme/shop' });
    await log.came('2', { repository: 'acme/site' });
    await log.came('3', { repository: 'acme/of-another-source', source: 'other' });
    const reconciler = log.reconciler(github.access);
    const report = await reconciler.reconcile(source({ repositories: null }), {
      dryRun: false,
      signal: never,
    });
    expect(report?.repositories).toBe(2);
    expect(asked().some((path) => path.startsWith('/repos/acme/site/'))).toBe(true);
    expect(asked().some((path) => path.includes('of-another-source'))).toBe(false);
  });

  test('of another server than the one that the token is for are not asked about', async () => {
    github = await fakeGithub();
    await log.came('1', { repository: 'acme/shop', cloneUrl: 'https://git.example/acme/shop.git' });
    const access = { github: { token: TOKEN, apiUrl: 'https://api.github.com' } };
    const report = await log
      .reconciler(access)
      .reconcile(source(), { dryRun: true, signal: never });
    expect(report).toMatchObject({ repositories: 0, problems: [] });
  });
});
