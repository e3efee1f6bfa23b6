import { readFile } from 'node:fs/promises';

import { afterEach, expect, test } from 'vitest';

import { type SourceFilters, readSources } from '../../src/platform/webhook-sources.ts';
import {
  type Answered,
  type TestIngress,
  planned,
  post,
  pullRequestBody,
  source,
  startIngress,
} from './support/ingress.ts';

let ingress: TestIngress | null = null;
afterEach(() => ingress?.close());

const PUSH = {
  ref: 'refs/heads/roof',
  before: 'b'.repeat(40),
  after: 'a'.repeat(40),
  repository: { full_name: 'acme/app' },
  sender: { login: 'Ada' },
};

async function answer(filters: SourceFilters, body: string, event: string): Promise<Answered> {
  ingress = await startIngress({ sources: [source({ filters })], plan: () => [planned] });
  return post(ingress, body, { 'x-github-event': event });
}

// The pull request goes from the branch roof into main, and is ada's; Ada pushes to roof.
test.each<readonly [string, SourceFilters, 'push' | 'pull_request', string | null]>([
  ['no filter', {}, 'push', null],
  ['the event is wanted', { only: { event: ['push', 'tag'] } }, 'push', null],
  ['another event is wanted', { only: { event: ['tag'] } }, 'push', 'the event push'],
  [
    'another action is wanted',
    { only: { action: ['closed'] } },
    'pull_request',
    'the action opened',
  ],
  ['the target branch is wanted', { only: { branch: ['main'] } }, 'pull_request', null],
  [
    'the source branch of a pull request is none',
    { only: { branch: ['roof'] } },
    'pull_request',
    'the branch main',
  ],
  ['the branch of a push is wanted', { only: { branch: ['roof'] } }, 'push', null],
  [
    'one of two fields is not wanted',
    { only: { branch: ['main'], event: ['push'] } },
    'pull_request',
    'the event pull_request',
  ],
  ['the author is our own bot', { except: { author: ['ADA'] } }, 'push', 'the author Ada'],
  ['the author is another one', { except: { author: ['our-bot[bot]'] } }, 'push', null],
  [
    'wanted and not wanted',
    { only: { event: ['push'] }, except: { branch: ['roof'] } },
    'push',
    'the branch roof',
  ],
])('%s', async (_, filters, event, leftOut) => {
  const body = event === 'push' ? JSON.stringify(PUSH) : pullRequestBody();
  const { status, body: said } = await answer(filters, body, event);

  if (leftOut === null)
    expect({ status, said }).toMatchObject({ status: 202, said: { jobs: [{}] } });
  else {
    const reason = `The filters of the source "github" leave out ${leftOut}`;
    expect({ status, said }).toMatchObject({ status: 200, said: { jobs: [], reason } });
    expect(ingress?.recorded.last).toMatchObject({ outcome: 'ignored', reason });
  }
});

const TOUCHING = (...modified: string[]) =>
  JSON.stringify({ ...PUSH, commits: [{ id: 'a'.repeat(40), added: [], modified, removed: [] }] });
const labelled = (...names: string[]) =>
  pullRequestBody({ labels: names.map((name) => ({ name })), draft: names.includes('wip') });

test.each<readonly [string, SourceFilters, 'push' | 'pull_request', string, string | null]>([
  [
    'a label that it has',
    { only: { label: ['review', 'x'] } },
    'pull_request',
    labelled('y', 'x'),
    null,
  ],
  [
    'a label that it has not',
    { only: { label: ['review'] } },
    'pull_request',
    labelled('y', 'x'),
    'the label y, x',
  ],
  [
    'a label that keeps it out',
    { except: { label: ['skip'] } },
    'pull_request',
    labelled('skip'),
    'the label skip',
  ],
  ['no draft', { only: { draft: false } }, 'pull_request', labelled(), null],
  ['a draft', { only: { draft: false } }, 'pull_request', labelled('wip'), 'the draft true'],
  [
    'a draft, the other way',
    { except: { draft: true } },
    'pull_request',
    labelled('wip'),
    'the draft true',
  ],
  ['a push is neither', { except: { draft: true } }, 'push', TOUCHING('a'), null],
  ['a file that is wanted', { only: { path: ['src/**'] } }, 'push', TOUCHING('a', 'src/b/c'), null],
  [
    'no file that is wanted',
    { only: { path: ['src/**'] } },
    'push',
    TOUCHING('a', 'srcs/b'),
    'the path a, srcs/b',
  ],
  ['files not named', { only: { path: ['src/**'] } }, 'push', JSON.stringify(PUSH), null],
  [
    'only files that are not wanted',
    { except: { path: ['docs/**', '*.md'] } },
    'push',
    TOUCHING('docs/a', 'b.md'),
    'the path docs/a, b.md',
  ],
  ['one other file', { except: { path: ['docs/**'] } }, 'push', TOUCHING('docs/a', 'b'), null],
  ['no file at all', { except: { path: ['docs/**'] } }, 'push', JSON.stringify(PUSH), null],
  ['a pull request names none', { only: { path: ['src/**'] } }, 'pull_request', labelled(), null],
])('labels, drafts and paths: %s', async (...[, filters, event, body, leftOut]) => {
  const { status, body: said } = await answer(filters, body, event);

  if (leftOut === null) expect([status, said]).toMatchObject([202, { jobs: [{}] }]);
  else {
    const reason = `The filters of the source "github" leave out ${leftOut}`;
    expect([status, said]).toMatchObject([200, { jobs: [], reason }]);
  }
});

test.each(['Our-Bot[bot]', 'our-bot[BOT]'])('what %s does starts nothing', async (login) => {
  ingress = await startIngress({
    sources: [source({ ownAccounts: ['robot', 'our-bot[bot]'] })],
    plan: () => [planned],
  });
  const own = await post(ingress, pullRequestBody({}, { sender: { login } }));
  const other = await post(ingress, pullRequestBody({}, { sender: { login: 'our-bot' } }));

  expect(own).toMatchObject({
    status: 200,
    body: { jobs: [], reason: expect.stringContaining(`"${login}", an account of ours`) as string },
  });
  expect(ingress.recorded.deliveries[0]).toMatchObject({ outcome: 'ignored', jobs: [] });
  expect(other.status).toBe(202);
});

test('a field that the fact has not is not what is wanted', async () => {
  const { sender: _, ...anonymous } = PUSH;
  const { body } = await answer({ only: { author: ['ada'] } }, JSON.stringify(anonymous), 'push');

  expect(body).toMatchObject({ jobs: [], reason: expect.stringContaining('leave out the author') });
});

test('a ping passes every filter, and says that the hook works', async () => {
  const ping = JSON.stringify({ zen: 'Approachable.', hook_id: 1 });
  ingress = await startIngress({ sources: [source({ filters: { only: { event: ['push'] } } })] });
  const { body } = await post(ingress, ping, { 'x-github-event': 'ping' });

  expect(body).toMatchObject({ reason: 'A ping: the hook works' });
});

const read = (filters: unknown) =>
  readSources({ WEBHOOK_SOURCES: 'sources.json' }, () =>
    JSON.stringify([{ name: 'ours', provider: 'github', secrets: [{ value: 's' }], filters }]),
  );

test('the file of the sources has the filters', () => {
  const filters = { only: { branch: ['main'] }, except: { author: ['our-bot[bot]'] } };

  expect(read(filters)).toMatchObject({ mistakes: [], sources: [{ filters }] });
});

test.each([
  [{ only: { title: ['x'] } }, 'title'],
  [{ only: { draft: 'yes' } }, 'draft'],
  [{ only: { branch: 'main' } }, 'branch'],
  [{ only: { branch: [] } }, 'branch'],
  [{ branch: ['main'] }, 'branch'],
])('the filters %j are a mistake', (filters, named) => {
  expect(read(filters)).toMatchObject({
    sources: [],
    mistakes: [expect.stringContaining(named) as string],
  });
});

test('the example of the guide is right', async () => {
  const guide = await readFile('docs/guides/webhook-sources.md', 'utf8');
  const [, example = ''] = /```json\n([^`]+)```/.exec(guide) ?? [];
  const env = { WEBHOOK_SOURCES: 'sources.json', SHOP_SECRET: 'new', SHOP_SECRET_OLD: 'old' };

  expect(readSources(env, () => example)).toMatchObject({
    mistakes: [],
    sources: [{ name: 'shop' }],
  });
});
