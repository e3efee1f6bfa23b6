import { expect, test } from 'vitest';

import { readSources } from '../../src/platform/webhook-sources.ts';

type Env = Record<string, string>;

/** Reads a file of sources that contains `content`, in the environment `env`. */
function readFile(content: unknown, env: Env = {}): ReturnType<typeof readSources> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return readSources({ ...env, WEBHOOK_SOURCES: 'sources.json' }, () => text);
}

const noFile = (): string => {
  throw new Error('ENOENT');
};

const plain = { repositories: null, maxPerMinute: null, allowedIps: null };
const own = { name: 'team-a', provider: 'gitlab', secrets: [{ value: 's' }] };

test.each([
  ['GITHUB_WEBHOOK_SECRET', 'github'],
  ['GITLAB_WEBHOOK_SECRET', 'gitlab'],
  ['BITBUCKET_CLOUD_WEBHOOK_SECRET', 'bitbucket-cloud'],
  ['BITBUCKET_DC_WEBHOOK_SECRET', 'bitbucket-dc'],
  ['AZURE_REPOS_WEBHOOK_SECRET', 'azure-repos'],
  ['GITEA_WEBHOOK_SECRET', 'gitea'],
  ['FORGEJO_WEBHOOK_SECRET', 'forgejo'],
])('%s makes the source %s', (variable, name) => {
  expect(readSources({ [variable]: 'secret' }, noFile)).toEqual({
    sources: [{ name, provider: name, secrets: [{ value: 'secret', expiresAt: null }], ...plain }],
    mistakes: [],
  });
});

test('several secrets of a variable are all valid, newest first', () => {
  const { sources } = readSources({ GITHUB_WEBHOOK_SECRET: ' new  old ' }, noFile);
  expect(sources[0]?.secrets.map(({ value }) => value)).toEqual(['new', 'old']);
});

test('a source of a variable knows our own accounts, whose names may have spaces', () => {
  const env = { GITHUB_WEBHOOK_SECRET: 's', GITHUB_OWN_ACCOUNTS: ' our-bot[bot], Review Bot ,' };

  expect(readSources(env, noFile).sources[0]?.ownAccounts).toEqual(['our-bot[bot]', 'Review Bot']);
});

test.each(['', '   '])('the empty secret %j is a mistake', (secret) => {
  const { sources, mistakes } = readSources({ GITEA_WEBHOOK_SECRET: secret }, noFile);
  expect(sources).toEqual([]);
  expect(mistakes).toEqual([expect.stringContaining('GITEA_WEBHOOK_SECRET: is empty')]);
});

test('a file adds named sources with their limits', () => {
  const { sources, mistakes } = readFile(
    [
      {
        ...own,
        secrets: [{ env: 'TEAM_A' }, { value: 'old', expiresAt: '2030-01-01T00:00:00+02:00' }],
        repositories: ['team/a'],
        ownAccounts: ['our-bot'],
        maxPerMinute: 60,
        allowedIps: ['10.0.0.0/8', '2001:db8::1'],
      },
    ],
    { TEAM_A: 'new', GITHUB_WEBHOOK_SECRET: 's' },
  );
  expect(mistakes).toEqual([]);
  expect(sources.map(({ name }) => name)).toEqual(['github', 'team-a']);
  expect(sources[1]).toEqual({
    name: 'team-a',
    provider: 'gitlab',
    secrets: [
      { value: 'new', expiresAt: null },
      { value: 'old', expiresAt: new Date('2029-12-31T22:00:00Z') },
    ],
    repositories: ['team/a'],
    ownAccounts: ['our-bot'],
    maxPerMinute: 60,
    allowedIps: ['10.0.0.0/8', '2001:db8::1'],
  });
});

test.each([
  ['a secret whose variable is missing', { ...own, secrets: [{ env: 'GONE' }] }, 'GONE is not set'],
  ['a secret that is nowhere', { ...own, secrets: [{}] }, 'has neither value nor env'],
  ['no secret at all', { ...own, secrets: [] }, 'secrets'],
  ['an empty secret', { ...own, secrets: [{ value: '' }] }, 'value'],
  ['a name that is no path segment', { ...own, name: 'Team/A' }, 'name'],
  ['an unknown provider', { ...own, provider: 'svn' }, 'provider'],
  ['a field that does not exist', { ...own, maxPerMinuet: 1 }, 'maxPerMinuet'],
  ['a range that is none', { ...own, allowedIps: ['10.0.0.0/99'] }, 'an address or a CIDR range'],
  ['a limit of nothing', { ...own, maxPerMinute: 0 }, 'maxPerMinute'],
])('%s is a mistake', (_, source, reason) => {
  const { mistakes } = readFile([source]);
  expect(mistakes).toEqual([expect.stringContaining(reason)]);
});

test('a name that is there twice is a mistake', () => {
  const { mistakes } = readFile([{ ...own, name: 'github', provider: 'github' }], {
    GITHUB_WEBHOOK_SECRET: 's',
  });
  expect(mistakes).toEqual(['WEBHOOK_SOURCES: the source "github" is there twice']);
});

test('a file that is missing or is not JSON is a mistake, and is not quoted', () => {
  expect(readSources({ WEBHOOK_SOURCES: 'gone.json' }, noFile).mistakes).toEqual([
    'WEBHOOK_SOURCES: gone.json cannot be read',
  ]);
  expect(readFile('[{ "secrets": hunter2').mistakes).toEqual([
    'WEBHOOK_SOURCES: sources.json is not JSON',
  ]);
});
