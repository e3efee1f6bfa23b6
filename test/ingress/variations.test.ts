import { describe, expect, test } from 'vitest';

import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import type { Fact, WebhookProvider } from '../../src/ingress/webhooks/provider.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';

// What hosts send, or sent once, beside what the real payloads show: each line changes a payload of its host a little.

type Json = Readonly<Record<string, unknown>>;

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const C = 'c'.repeat(40);
const ZERO = '0'.repeat(40);

type Flat = Readonly<Record<string, unknown>>;
type Read = Readonly<{ kind: string; outcome: string; facts: readonly Flat[] }>;

/** What is read of a payload, with the parts of each fact side by side. */
function read(
  provider: WebhookProvider['name'],
  headers: Readonly<Record<string, string>>,
  payload: unknown,
): Read {
  const result = interpret(providerOf(provider), {
    headers,
    body: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)),
    format: 'json',
  });
  if (result.kind === 'malformed') return { kind: 'malformed', outcome: 'malformed', facts: [] };
  expect(result.fault).toBeNull();
  const outcome = result.withheld === null ? 'read' : 'ignored';
  const facts = result.facts.map((fact) => flat(fact));
  return { kind: 'read', outcome: result.unmappable ? 'unmappable' : outcome, facts };
}

function flat({ repository, pullRequest, ...rest }: Fact): Flat {
  return {
    ...rest,
    repo: repository === null ? null : repository.fullName,
    clone: repository === null ? null : repository.cloneUrl,
    ...ofPullRequest(pullRequest),
  };
}

const ofPullRequest = (it: Fact['pullRequest']): Flat =>
  it === null
    ? { number: null, title: null, from: null, base: null }
    : { number: it.number, title: it.title, from: it.headRepository, base: it.baseBranch };

/** A copy of a payload with other values at these paths; undefined removes. */
function having(payload: Json, changes: Readonly<Record<string, unknown>>): Json {
  const copy = structuredClone(payload) as Record<string, unknown>;
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let node = copy;
    for (const key of keys) {
      node[key] ??= {};
      node = node[key] as Record<string, unknown>;
    }
    if (value === undefined) delete node[last];
    else node[last] = value;
  }
  return copy;
}

/** A name, the event, what is changed, and what is then expected: facts, or a word for there being none. */
type Variation = readonly [
  string,
  string,
  Readonly<Record<string, unknown>>,
  readonly Flat[] | 'malformed' | 'unmappable' | 'ignored',
];

function suite(
  provider: WebhookProvider['name'],
  header: string | null,
  payloadOf: (event: string) => Json,
  variations: readonly Variation[],
): void {
  describe(`deliveries of ${provider}`, () => {
    test.each(variations)('%s', (_name, event, changes, expected) => {
      const headers = header === null ? {} : { [header]: event };
      const { outcome, facts } = read(provider, headers, having(payloadOf(event), changes));
      if (typeof expected === 'string') {
        expect(outcome).toBe(expected);
        return;
      }
      expect(outcome).toBe('read');
      expect(facts).toHaveLength(expected.length);
      for (const [index, fact] of expected.entries()) expect(facts[index]).toMatchObject(fact);
    });
  });
}

const githubRepository = {
  id: 7,
  full_name: 'acme/app',
  html_url: 'https://github.com/acme/app',
  clone_url: 'https://github.com/acme/app.git',
};
const githubCommon = { repository: githubRepository, sender: { login: 'ada' } };
const githubPull = {
  number: 2,
  title: 'Roof',
  head: { ref: 'roof', sha: A, repo: { full_name: 'acme/app' } },
  base: { ref: 'main', sha: B, repo: { id: 7 } },
};

const GITHUB: Readonly<Record<string, Json>> = {
  push: { ...githubCommon, ref: 'refs/heads/main', before: B, after: A, head_commit: { id: A } },
  create: { ...githubCommon, ref: 'v1', ref_type: 'tag', master_branch: 'main' },
  delete: { ...githubCommon, ref: 'v1', ref_type: 'tag' },
  pull_request: { ...githubCommon, action: 'opened', number: 2, pull_request: githubPull },
  pull_request_review: {
    ...githubCommon,
    action: 'submitted',
    review: {},
    pull_request: githubPull,
  },
  issue_comment: {
    ...githubCommon,
    action: 'created',
    issue: { number: 2, title: 'Roof', pull_request: {} },
    comment: { body: 'hi', user: { login: 'ada' } },
  },
  check_suite: {
    ...githubCommon,
    action: 'rerequested',
    check_suite: { head_branch: 'roof', head_sha: A, pull_requests: [githubPull] },
  },
  workflow_run: {
    ...githubCommon,
    action: 'completed',
    workflow_run: { head_branch: 'roof', head_sha: A, pull_requests: [githubPull] },
  },
  check_run: {
    ...githubCommon,
    action: 'requested_action',
    check_run: { head_sha: A, check_suite: { head_branch: 'roof' }, pull_requests: [] },
  },
  merge_group: {
    ...githubCommon,
    action: 'checks_requested',
    merge_group: {
      head_sha: A,
      head_ref: 'refs/heads/gh-readonly-queue/main/pr-2-b',
      base_sha: B,
      base_ref: 'refs/heads/main',
    },
  },
  installation: { action: 'suspend', installation: { id: 1 }, sender: { login: 'ada' } },
  installation_repositories: {
    action: 'added',
    installation: { id: 1 },
    repositories_added: [],
    repositories_removed: [],
    sender: { login: 'ada' },
  },
  ping: { zen: 'Keep it simple', hook_id: 1, sender: { login: 'ada' } },
};

suite(
  'github',
  'x-github-event',
  (event) => (Object.hasOwn(GITHUB, event) ? GITHUB[event] : null) ?? githubCommon,
  [
    ['a push', 'push', {}, [{ event: 'push', action: 'updated', headSha: A, baseSha: B }]],
    ['a new branch', 'push', { before: ZERO }, [{ action: 'created', baseSha: null, headSha: A }]],
    [
      'a deleted branch',
      'push',
      { after: ZERO, head_commit: null },
      [{ action: 'deleted', headSha: null, baseSha: B }],
    ],
    [
      'an annotated tag',
      'push',
      { ref: 'refs/tags/v1', before: ZERO, after: C },
      [{ event: 'tag', action: 'created', ref: 'v1', headSha: A }],
    ],
    [
      'an annotated tag whose commit is not said',
      'push',
      { ref: 'refs/tags/v1', before: ZERO, head_commit: null },
      [{ event: 'tag', headSha: null }],
    ],
    ['a tag that moved', 'push', { ref: 'refs/tags/v1' }, [{ event: 'tag', action: 'updated' }]],
    [
      'a branch in SHA-256',
      'push',
      { after: 'd'.repeat(64), before: '0'.repeat(64) },
      [{ action: 'created', headSha: 'd'.repeat(64) }],
    ],
    ['a push of notes', 'push', { ref: 'refs/notes/x' }, 'ignored'],
    ['a push of nothing', 'push', { before: ZERO, after: ZERO }, 'unmappable'],
    ['a push without commits', 'push', { commits: [] }, [{ action: 'updated' }]],
    ...(['a/b/c', 'ünïcode/日本', '100%', 'a%2Fb', 'feature#1', "it's", '$(x)', '@x'] as const).map(
      (name): Variation => [
        `the branch ${name}`,
        'push',
        { ref: `refs/heads/${name}` },
        [{ ref: name }],
      ],
    ),
    ...(
      [
        '-x',
        'a..b',
        'a b',
        'a\u0000',
        'a\nb',
        'a~1',
        'a^',
        'a:b',
        'a\\b',
        'x.lock',
        '',
        '/a',
      ] as const
    ).map((name): Variation => [
      `the branch ${JSON.stringify(name)}`,
      'push',
      { ref: `refs/heads/${name}` },
      'unmappable',
    ]),
    ['a sender that is null', 'push', { sender: null }, [{ sender: null }]],
    ['a bot', 'push', { 'sender.login': 'renovate[bot]' }, [{ sender: 'renovate[bot]' }]],
    ['a sender of another type', 'push', { sender: 'ada' }, [{ sender: null }]],
    ['a tag that was made', 'create', {}, [{ event: 'tag', action: 'created', headSha: null }]],
    ['a branch that was made', 'create', { ref_type: 'branch' }, [{ event: 'push', ref: 'v1' }]],
    ['a repository that was made', 'create', { ref_type: 'repository', ref: null }, 'ignored'],
    ['a tag that was deleted', 'delete', {}, [{ event: 'tag', action: 'deleted', headSha: null }]],
    [
      'a fork',
      'pull_request',
      { 'pull_request.head.repo.full_name': 'eve/app' },
      [{ from: 'eve/app', repo: 'acme/app' }],
    ],
    [
      'a deleted fork',
      'pull_request',
      { 'pull_request.head.repo': null },
      [{ from: null, headSha: A }],
    ],
    ['an old payload without number', 'pull_request', { number: undefined }, [{ number: 2 }]],
    ['two numbers', 'pull_request', { number: 3 }, 'unmappable'],
    ['a number that is no number', 'pull_request', { 'pull_request.number': '2' }, 'unmappable'],
    [
      'a merge',
      'pull_request',
      { action: 'closed', 'pull_request.merged': true },
      [{ action: 'merged' }],
    ],
    [
      'no merge',
      'pull_request',
      { action: 'closed', 'pull_request.merged': 'yes' },
      [{ action: 'closed' }],
    ],
    ['an unknown action', 'pull_request', { action: 'frobnicated' }, [{ action: 'frobnicated' }]],
    ['a hostile action', 'pull_request', { action: '<b>' }, 'unmappable'],
    [
      'a title of a mebibyte',
      'pull_request',
      { 'pull_request.title': 'x'.repeat(1_048_576) },
      [{ title: 'x'.repeat(1024) }],
    ],
    ['a title that is null', 'pull_request', { 'pull_request.title': null }, [{ title: null }]],
    [
      'a title with half a character',
      'pull_request',
      { 'pull_request.title': 'a\ud83c' },
      [{ title: 'a\uFFFD' }],
    ],
    [
      'a title cut in a character',
      'pull_request',
      { 'pull_request.title': `${'x'.repeat(1023)}🎉` },
      [{ title: `${'x'.repeat(1023)}\uFFFD` }],
    ],
    [
      'a repository that climbs',
      'pull_request',
      { 'repository.full_name': '../etc' },
      'unmappable',
    ],
    [
      'a repository named .github',
      'push',
      { 'repository.full_name': 'acme/.github' },
      [{ repo: 'acme/.github' }],
    ],
    [
      'a clone URL within a cloud',
      'push',
      { 'repository.clone_url': 'http://[::ffff:169.254.169.254]/x' },
      [{ clone: null }],
    ],
    [
      'a clone URL in decimals',
      'push',
      { 'repository.clone_url': 'http://2852039166/x' },
      [{ clone: null }],
    ],
    [
      'a clone URL with a password',
      'push',
      { 'repository.clone_url': 'https://u:p@github.com/a/b.git' },
      [{ clone: 'https://github.com/a/b.git' }],
    ],
    [
      'a review that was dismissed',
      'pull_request_review',
      { action: 'dismissed' },
      [{ event: 'pull_request_review', action: 'dismissed' }],
    ],
    [
      'a comment on a pull request',
      'issue_comment',
      {},
      [{ event: 'pull_request_comment', number: 2, headSha: null }],
    ],
    [
      'a comment on an issue',
      'issue_comment',
      { 'issue.pull_request': undefined },
      [{ event: 'issue_comment', number: null }],
    ],
    [
      'a check of an own pull request',
      'check_suite',
      {},
      [{ event: 'check', number: 2, baseSha: B }],
    ],
    [
      'a run of another’s pull request',
      'workflow_run',
      { repository: { ...githubRepository, id: 8 } },
      [{ event: 'pipeline', number: null, baseSha: null }],
    ],
    [
      'a run of a deleted branch',
      'workflow_run',
      { 'workflow_run.head_branch': null },
      [{ ref: null }],
    ],
    ['a deployment that names its run', 'workflow_run', { deployment: {} }, 'malformed'],
    [
      'a button of a check',
      'check_run',
      {},
      [{ action: 'requested_action', ref: 'roof', headSha: A }],
    ],
    [
      'a merge queue',
      'merge_group',
      {},
      [{ event: 'merge_queue', ref: 'gh-readonly-queue/main/pr-2-b', headSha: A, baseSha: B }],
    ],
    [
      'a merge group that ended',
      'merge_group',
      { action: 'destroyed', reason: 'merged' },
      [{ action: 'destroyed' }],
    ],
    [
      'an installation',
      'installation',
      {},
      [{ event: 'installation', action: 'suspend', repo: null }],
    ],
    [
      'repositories of an installation',
      'installation_repositories',
      {},
      [{ event: 'installation', action: 'added' }],
    ],
    ['a ping of an app', 'ping', {}, [{ event: 'ping', repo: null }]],
    [
      'a ping of an organisation',
      'ping',
      { repository: null, organization: {} },
      [{ event: 'ping' }],
    ],
    ['an event that is not known', 'sponsorship', {}, 'ignored'],
    ['an event that is a name of all objects', 'constructor', {}, 'ignored'],
    ['an event that is no name', 'push, push', {}, 'malformed'],
  ],
);

describe('what Gitea says of its secret', () => {
  const SECRET = 'hush-hush';
  test.each([
    ['plainly', `{"secret":"${SECRET}","a":1}`],
    ['with spaces', `{ "secret" :\n "${SECRET}" }`],
    ['twice, the last time empty', `{"secret":"${SECRET}","secret":""}`],
    ['twice', `{"secret":"x","secret":"${SECRET}"}`],
    ['with an escaped name', `{"\\u0073ecret":"${SECRET}"}`],
    ['with quotes in it', `{"secret":"\\"${SECRET}\\\\"}`],
    ['at length', `{"secret":"${SECRET.repeat(1000)}"}`],
    ['further down', `{"hook":{"config":{"secret":"${SECRET}"}}}`],
  ])('%s is not stored', (_, body) => {
    const { redact } = providerOf('gitea');
    const payload = JSON.parse(body) as Json;
    const stored = redact({ body: Buffer.from(body), format: 'json', payload })?.toString() ?? body;
    expect(stored).not.toContain(SECRET);
    expect(Object.keys(JSON.parse(stored) as Json)).toEqual(Object.keys(payload));
    const form = Buffer.from(new URLSearchParams({ payload: body }).toString());
    const storedForm = redact({ body: form, format: 'form', payload })?.toString() ?? '';
    expect(storedForm).toMatch(/^payload=/);
    expect(storedForm).not.toContain(SECRET);
  });

  test('leaves what quotes it', () => {
    const body = JSON.stringify({ message: '"secret": "of the deep"', secret: '' });
    const payload = JSON.parse(body) as Json;
    const { redact } = providerOf('gitea');
    expect(redact({ body: Buffer.from(body), format: 'json', payload })).toBeNull();
  });
});

/** A captured body could come back under the name of another event, which no signature covers. */
describe('the body of a GitHub event', () => {
  const events = Object.keys(GITHUB);
  test.each(events)('of %s passes under no other name', (event) => {
    for (const other of events.filter((each) => each !== event)) {
      const { outcome } = read('github', { 'x-github-event': other }, GITHUB[event]);
      expect([other, outcome]).toEqual([other, 'malformed']);
    }
  });
});

const gitlabProject = {
  path_with_namespace: 'group/sub/app',
  web_url: 'https://gitlab.com/group/sub/app',
  git_http_url: 'https://gitlab.com/group/sub/app.git',
};
const mergeRequest = {
  iid: 3,
  title: 'Roof',
  source_branch: 'roof',
  target_branch: 'main',
  last_commit: { id: A },
  source: { path_with_namespace: 'eve/app' },
  target: gitlabProject,
};
const GITLAB: Readonly<Record<string, Json>> = {
  'Push Hook': {
    object_kind: 'push',
    ref: 'refs/heads/main',
    before: B,
    after: A,
    checkout_sha: A,
    project: gitlabProject,
    user_username: 'ada',
  },
  'Tag Push Hook': {
    object_kind: 'tag_push',
    ref: 'refs/tags/v1',
    before: ZERO,
    after: C,
    checkout_sha: A,
    project: gitlabProject,
    user_username: 'ada',
  },
  'Merge Request Hook': {
    object_kind: 'merge_request',
    project: gitlabProject,
    user: { username: 'ada' },
    object_attributes: { ...mergeRequest, action: 'open' },
  },
  'Note Hook': {
    object_kind: 'note',
    project: gitlabProject,
    user: { username: 'ada' },
    object_attributes: { note: 'hi', noteable_type: 'MergeRequest' },
    merge_request: mergeRequest,
  },
  'Pipeline Hook': {
    object_kind: 'pipeline',
    project: gitlabProject,
    user: { username: 'ada' },
    object_attributes: { status: 'success', ref: 'main', sha: A },
    merge_request: null,
  },
  'Job Hook': {
    object_kind: 'build',
    project_name: 'Group / App',
    build_status: 'failed',
    ref: 'main',
    sha: A,
    repository: {
      homepage: 'https://gitlab.com/group/sub/app',
      git_http_url: 'https://gitlab.com/group/sub/app.git',
    },
  },
};
const systemPush = { ...GITLAB['Push Hook'], event_name: 'push' };

suite('gitlab', 'x-gitlab-event', (event) => GITLAB[event] ?? systemPush, [
  ['a push', 'Push Hook', {}, [{ event: 'push', headSha: A, baseSha: B, repo: 'group/sub/app' }]],
  ['a new branch', 'Push Hook', { before: ZERO }, [{ action: 'created', baseSha: null }]],
  [
    'a deleted branch',
    'Push Hook',
    { after: ZERO, checkout_sha: null },
    [{ action: 'deleted', headSha: null }],
  ],
  ['an annotated tag', 'Tag Push Hook', {}, [{ event: 'tag', headSha: A, ref: 'v1' }]],
  [
    'a deleted tag',
    'Tag Push Hook',
    { before: C, after: ZERO, checkout_sha: null },
    [{ action: 'deleted', headSha: null }],
  ],
  [
    'a push of an old version',
    'Push Hook',
    {
      project: undefined,
      user_username: undefined,
      user_name: 'Ada L.',
      repository: {
        homepage: 'http://git.example.com/mike/diaspora',
        git_http_url: 'http://git.example.com/mike/diaspora.git',
      },
    },
    [{ repo: 'mike/diaspora', clone: 'http://git.example.com/mike/diaspora.git', sender: null }],
  ],
  [
    'a merge request from a fork',
    'Merge Request Hook',
    {},
    [
      {
        action: 'opened',
        number: 3,
        from: 'eve/app',
        repo: 'group/sub/app',
        headSha: A,
        baseSha: null,
      },
    ],
  ],
  [
    'a merge request of an old version',
    'Merge Request Hook',
    { project: undefined },
    [{ repo: 'group/sub/app' }],
  ],
  [
    'a merge request from a deleted fork',
    'Merge Request Hook',
    { 'object_attributes.source': null },
    [{ from: null }],
  ],
  [
    'a merge request that the test button sends',
    'Merge Request Hook',
    { 'object_attributes.action': undefined },
    'unmappable',
  ],
  [
    'new commits',
    'Merge Request Hook',
    { 'object_attributes.action': 'update', 'object_attributes.oldrev': B },
    [{ action: 'synchronize' }],
  ],
  [
    'other labels',
    'Merge Request Hook',
    { 'object_attributes.action': 'update', changes: { labels: {} } },
    [{ action: 'labeled' }],
  ],
  [
    'an update of nothing',
    'Merge Request Hook',
    { 'object_attributes.action': 'update', changes: { updated_at: {} } },
    [{ action: 'edited' }],
  ],
  [
    'a merge',
    'Merge Request Hook',
    { 'object_attributes.action': 'merge' },
    [{ action: 'merged' }],
  ],
  [
    'an approval',
    'Merge Request Hook',
    { 'object_attributes.action': 'approved' },
    [{ action: 'approved' }],
  ],
  [
    'an unknown action',
    'Merge Request Hook',
    { 'object_attributes.action': 'frobnicate' },
    [{ action: 'frobnicate' }],
  ],
  ['a user that is null', 'Merge Request Hook', { user: null }, [{ sender: null }]],
  [
    'a note on a merge request',
    'Note Hook',
    {},
    [{ event: 'pull_request_comment', action: 'created', number: 3, headSha: A }],
  ],
  [
    'a note on a merge request of an old version',
    'Note Hook',
    { project: undefined },
    [{ repo: 'group/sub/app' }],
  ],
  [
    'a note that was changed',
    'Note Hook',
    { 'object_attributes.action': 'update' },
    [{ action: 'edited' }],
  ],
  [
    'a note on a commit',
    'Note Hook',
    { 'object_attributes.noteable_type': 'Commit', commit: { id: A } },
    [{ event: 'commit_comment', headSha: A }],
  ],
  [
    'a note on an issue',
    'Note Hook',
    { 'object_attributes.noteable_type': 'Issue' },
    [{ event: 'issue_comment', number: null }],
  ],
  ['a note on a snippet', 'Note Hook', { 'object_attributes.noteable_type': 'Snippet' }, 'ignored'],
  [
    'a pipeline of a branch',
    'Pipeline Hook',
    {},
    [{ event: 'pipeline', action: 'success', ref: 'main', number: null }],
  ],
  [
    'a pipeline of a merge request',
    'Pipeline Hook',
    { merge_request: mergeRequest },
    [{ number: 3, base: 'main' }],
  ],
  ['a job', 'Job Hook', {}, [{ event: 'pipeline', action: 'failed', repo: 'group/sub/app' }]],
  [
    'a job with its project',
    'Job Hook',
    { project: gitlabProject, user: { username: 'ada' } },
    [{ repo: 'group/sub/app', sender: 'ada' }],
  ],
  ['a push to any project', 'System Hook', {}, [{ event: 'push', headSha: A }]],
  [
    'a project that was made',
    'System Hook',
    { object_kind: undefined, event_name: 'project_create' },
    'ignored',
  ],
  ['the name of another event', 'Tag Push Hook', { object_kind: 'push' }, 'malformed'],
  [
    'a body of the user’s own',
    'Push Hook',
    { object_kind: undefined, event_name: undefined },
    'unmappable',
  ],
  ['a release', 'Release Hook', { object_kind: 'release' }, 'ignored'],
  ['an event that is new', 'Emoji Hook', { object_kind: 'emoji' }, 'ignored'],
]);

const cloudRepository = {
  full_name: 'acme/app',
  links: { html: { href: 'https://bitbucket.org/acme/app' } },
};
const cloudRef = (name: string, hash: string, type = 'branch'): Json => ({
  type,
  name,
  target: { hash },
});
const cloudPull = {
  id: 5,
  title: 'Roof',
  state: 'OPEN',
  source: {
    branch: { name: 'roof' },
    commit: { hash: 'a'.repeat(12) },
    repository: { full_name: 'eve/app' },
  },
  destination: {
    branch: { name: 'main' },
    commit: { hash: 'b'.repeat(12) },
    repository: { full_name: 'acme/app' },
  },
};
const cloudCommon = { repository: cloudRepository, actor: { nickname: 'ada' } };
const cloudPullRequest = { ...cloudCommon, pullrequest: cloudPull };
const CLOUD: Readonly<Record<string, Json>> = {
  'repo:push': {
    ...cloudCommon,
    push: { changes: [{ old: cloudRef('main', B), new: cloudRef('main', A) }] },
  },
  'repo:commit_status_created': {
    ...cloudCommon,
    commit_status: { state: 'INPROGRESS', refname: 'main', commit: { hash: A } },
  },
  'repo:commit_comment_created': { ...cloudCommon, comment: {}, commit: { hash: A } },
  'issue:comment_created': { ...cloudCommon, comment: {}, issue: { id: 1 } },
  'pullrequest:comment_created': { ...cloudPullRequest, comment: { content: { raw: 'hi' } } },
  'pullrequest:approved': { ...cloudPullRequest, approval: {} },
};
const manyChanges = (count: number): readonly Json[] =>
  Array.from({ length: count }, (_, n) => ({ old: null, new: cloudRef(`b${String(n)}`, A) }));

suite('bitbucket-cloud', 'x-event-key', (event) => CLOUD[event] ?? cloudPullRequest, [
  [
    'a push',
    'repo:push',
    {},
    [
      {
        event: 'push',
        action: 'updated',
        headSha: A,
        baseSha: B,
        clone: 'https://bitbucket.org/acme/app.git',
      },
    ],
  ],
  [
    'several refs in one push',
    'repo:push',
    {
      'push.changes': [
        { old: null, new: cloudRef('x/y', A) },
        { old: cloudRef('v1', B, 'tag'), new: null },
      ],
    },
    [
      { action: 'created', ref: 'x/y' },
      { event: 'tag', action: 'deleted', ref: 'v1', headSha: null, baseSha: B },
    ],
  ],
  ['an empty push', 'repo:push', { 'push.changes': [] }, []],
  ['a push of null', 'repo:push', { 'push.changes': null }, []],
  ['a push of the wrong type', 'repo:push', { push: [] }, []],
  [
    'changes that are null',
    'repo:push',
    { 'push.changes': [null, 3, { old: null, new: null }] },
    [],
  ],
  [
    'more refs than are taken',
    'repo:push',
    { 'push.changes': manyChanges(101) },
    manyChanges(100).map((_, n) => ({ ref: `b${String(n)}` })),
  ],
  [
    'an annotated tag',
    'repo:push',
    { 'push.changes': [{ old: null, new: cloudRef('v1', A, 'tag') }] },
    [{ event: 'tag', headSha: A }],
  ],
  ['an account of before 2019', 'repo:push', { actor: { username: 'ada' } }, [{ sender: 'ada' }]],
  ['an actor that is null', 'repo:push', { actor: null }, [{ sender: null }]],
  ['a repository without links', 'repo:push', { 'repository.links': undefined }, [{ clone: null }]],
  [
    'a pull request',
    'pullrequest:created',
    {},
    [
      {
        action: 'opened',
        number: 5,
        headSha: 'a'.repeat(12),
        baseSha: 'b'.repeat(12),
        from: 'eve/app',
      },
    ],
  ],
  [
    'a deleted fork',
    'pullrequest:created',
    { 'pullrequest.source.repository': null },
    [{ from: null }],
  ],
  [
    'a deleted branch',
    'pullrequest:updated',
    { 'pullrequest.source.commit': null },
    [{ headSha: null }],
  ],
  [
    'a state of words to come',
    'pullrequest:created',
    { 'pullrequest.state': 'QUEUED' },
    [{ action: 'opened' }],
  ],
  [
    'the state of the documentation',
    'pullrequest:fulfilled',
    { 'pullrequest.state': 'OPEN|MERGED|DECLINED' },
    [{ action: 'merged' }],
  ],
  ['a merge', 'pullrequest:fulfilled', { 'pullrequest.state': 'MERGED' }, [{ action: 'merged' }]],
  ['a merge of what is open', 'pullrequest:fulfilled', {}, 'malformed'],
  [
    'a decline',
    'pullrequest:rejected',
    { 'pullrequest.state': 'DECLINED' },
    [{ action: 'closed' }],
  ],
  ['an approval', 'pullrequest:approved', {}, [{ action: 'approved' }]],
  ['an approval under another name', 'pullrequest:created', { approval: {} }, 'malformed'],
  ['a comment', 'pullrequest:comment_created', {}, [{ event: 'pull_request_comment', number: 5 }]],
  [
    'a status',
    'repo:commit_status_created',
    {},
    [{ event: 'pipeline', action: 'inprogress', headSha: A, ref: 'main' }],
  ],
  [
    'a status of an old version',
    'repo:commit_status_created',
    {
      'commit_status.commit': undefined,
      'commit_status.refname': undefined,
      'commit_status.links': {
        commit: { href: `http://api.bitbucket.org/2.0/repositories/acme/app/commit/${A}` },
      },
    },
    [{ headSha: A, ref: null }],
  ],
  [
    'a comment on a commit',
    'repo:commit_comment_created',
    {},
    [{ event: 'commit_comment', headSha: A }],
  ],
  ['a comment on an issue', 'issue:comment_created', {}, [{ event: 'issue_comment' }]],
  ['a fork that was made', 'repo:fork', { pullrequest: undefined }, 'ignored'],
  ['an event that is new', 'pullrequest:Frobnicated-2.0', {}, 'ignored'],
]);

const dcRepository = (project: string): Json => ({
  slug: 'app',
  project: { key: project },
  links: {
    clone: [
      { name: 'ssh', href: 'ssh://x' },
      { name: 'http', href: 'https://u@bb.acme.dev/scm/a/app.git' },
    ],
  },
});
const dcChange = (name: string, from: string, to: string): Json => ({
  ref: { id: name, displayId: name, type: 'BRANCH' },
  refId: name,
  fromHash: from,
  toHash: to,
});
const dcPull = {
  id: 6,
  title: 'Roof',
  fromRef: {
    id: 'refs/heads/roof',
    displayId: 'roof',
    latestCommit: A,
    repository: dcRepository('~eve'),
  },
  toRef: {
    id: 'refs/heads/main',
    displayId: 'main',
    latestCommit: B,
    repository: dcRepository('ACME'),
  },
};
const dcPush = {
  actor: { name: 'ada' },
  repository: dcRepository('ACME'),
  changes: [dcChange('refs/heads/main', B, A)],
};
const DC: Readonly<Record<string, Json>> = {
  'repo:refs_changed': { eventKey: 'repo:refs_changed', ...dcPush },
  'mirror:repo_synchronized': { eventKey: 'mirror:repo_synchronized', mirrorServer: {}, ...dcPush },
  'pr:comment:added': { actor: { name: 'ada' }, pullRequest: dcPull, comment: { text: 'hi' } },
  'repo:comment:added': {
    actor: { name: 'ada' },
    repository: dcRepository('ACME'),
    commit: A,
    comment: {},
  },
  'diagnostics:ping': { test: true },
};

suite(
  'bitbucket-dc',
  'x-event-key',
  (event) => DC[event] ?? { actor: { name: 'ada' }, pullRequest: dcPull },
  [
    [
      'a push',
      'repo:refs_changed',
      {},
      [
        {
          headSha: A,
          baseSha: B,
          ref: 'main',
          repo: 'ACME/app',
          clone: 'https://bb.acme.dev/scm/a/app.git',
        },
      ],
    ],
    [
      'a push of version 5',
      'repo:refs_changed',
      { eventKey: undefined, 'repository.links': undefined },
      [{ clone: null, headSha: A }],
    ],
    [
      'a push before version 5.4',
      'repo:refs_changed',
      {
        eventKey: undefined,
        changes: undefined,
        push: { changes: [] },
        actor: { username: 'ada' },
      },
      [],
    ],
    [
      'several refs in one push',
      'repo:refs_changed',
      { changes: [dcChange('refs/heads/a/b', ZERO, A), dcChange('refs/tags/v1', B, ZERO)] },
      [
        { action: 'created', ref: 'a/b' },
        { event: 'tag', action: 'deleted', headSha: null },
      ],
    ],
    ['an empty push', 'repo:refs_changed', { changes: [] }, []],
    ['changes that are null', 'repo:refs_changed', { changes: null }, []],
    [
      'an annotated tag of version 8',
      'repo:refs_changed',
      { changes: [dcChange('refs/tags/v1', ZERO, C)], toCommit: { id: A } },
      [{ event: 'tag', headSha: A }],
    ],
    [
      'an annotated tag in a batch',
      'repo:refs_changed',
      {
        changes: [dcChange('refs/tags/v1', ZERO, C), dcChange('refs/heads/main', B, A)],
        toCommit: { id: A },
        commits: [{ id: A }],
      },
      [
        { event: 'tag', headSha: null },
        { event: 'push', headSha: A },
      ],
    ],
    [
      'a tag of an old version',
      'repo:refs_changed',
      { changes: [dcChange('refs/tags/v1', ZERO, A)] },
      [{ event: 'tag', headSha: A }],
    ],
    [
      'a personal fork',
      'pr:opened',
      {},
      [{ action: 'opened', number: 6, from: '~eve/app', repo: 'ACME/app', headSha: A, baseSha: B }],
    ],
    ['a deleted fork', 'pr:declined', { 'pullRequest.fromRef.repository': null }, [{ from: null }]],
    [
      'a pull request of a tag',
      'pr:opened',
      { 'pullRequest.fromRef.id': 'refs/tags/v1', 'pullRequest.fromRef.displayId': 'v1' },
      [{ ref: 'v1' }],
    ],
    [
      'dates in either form',
      'pr:opened',
      { date: '2026-11-20T12:00:00Z', 'pullRequest.createdDate': 1_600_000_000_000 },
      [{ action: 'opened' }],
    ],
    ['new commits', 'pr:from_ref_updated', { previousFromHash: C }, [{ action: 'synchronize' }]],
    [
      'a verdict under its new name',
      'pr:reviewer:changes_requested',
      {},
      [{ action: 'changes_requested' }],
    ],
    ['a comment', 'pr:comment:added', {}, [{ event: 'pull_request_comment' }]],
    ['a comment under another name', 'pr:opened', { comment: {} }, 'malformed'],
    ['a comment on a commit', 'repo:comment:added', {}, [{ event: 'commit_comment', headSha: A }]],
    ['a mirror', 'mirror:repo_synchronized', {}, 'ignored'],
    [
      'a mirror of too many refs',
      'mirror:repo_synchronized',
      { changes: undefined, refLimitExceeded: true },
      'ignored',
    ],
    [
      'a mirror under the name of a push',
      'repo:refs_changed',
      { eventKey: undefined, mirrorServer: {} },
      'malformed',
    ],
    ['another name than the body says', 'pr:merged', { eventKey: 'pr:opened' }, 'malformed'],
    ['a repository that was forked', 'repo:forked', { eventKey: 'repo:forked' }, 'ignored'],
    ['a ping', 'diagnostics:ping', {}, [{ event: 'ping' }]],
  ],
);

const azureRepository = {
  name: 'my app',
  remoteUrl: 'https://org@dev.azure.com/org/My%20Team/_git/my%20app',
  project: { name: 'My Team' },
};
const azurePull = {
  pullRequestId: 8,
  status: 'active',
  title: 'Roof',
  sourceRefName: 'refs/heads/roof/1',
  targetRefName: 'refs/heads/main',
  lastMergeSourceCommit: { commitId: A },
  lastMergeTargetCommit: { commitId: B },
  createdBy: { uniqueName: 'ada' },
  repository: azureRepository,
};
const azureEvent = (eventType: string, resource: Json): Json => ({
  subscriptionId: 'b8a5b9a3-2f6f-4a8e-9a4e-1c2d3e4f5a6b',
  notificationId: 1,
  id: 'c9a5b9a3-2f6f-4a8e-9a4e-1c2d3e4f5a6b',
  eventType,
  resource,
});
const update = (name: string, from = B, to = A): Json => ({
  name,
  oldObjectId: from,
  newObjectId: to,
});
const AZURE: Readonly<Record<string, Json>> = {
  'git.push': {
    refUpdates: [update('refs/heads/main')],
    repository: azureRepository,
    pushedBy: { uniqueName: 'ada' },
  },
  'ms.vss-code.git-pullrequest-comment-event': {
    comment: { id: 1, content: 'hi', author: { uniqueName: 'ada' } },
    pullRequest: azurePull,
  },
  'build.complete': {
    result: 'succeeded',
    sourceBranch: 'refs/heads/main',
    sourceVersion: A,
    requestedFor: { uniqueName: 'ada' },
  },
};

suite('azure-repos', null, (event) => azureEvent(event, AZURE[event] ?? azurePull), [
  [
    'a push',
    'git.push',
    {},
    [
      {
        headSha: A,
        baseSha: B,
        repo: 'My Team/my app',
        sender: 'ada',
        clone: 'https://dev.azure.com/org/My%20Team/_git/my%20app',
      },
    ],
  ],
  [
    'several refs in one push',
    'git.push',
    {
      'resource.refUpdates': [
        update('refs/heads/a/b', ZERO),
        update('refs/tags/v1', B, ZERO),
        update('refs/pull/1/merge'),
      ],
    },
    [
      { action: 'created', ref: 'a/b' },
      { event: 'tag', action: 'deleted', headSha: null },
    ],
  ],
  ['an empty push', 'git.push', { 'resource.refUpdates': [] }, []],
  ['an update that is null', 'git.push', { 'resource.refUpdates': [null] }, 'unmappable'],
  ['a push with minimal details', 'git.push', { resource: { pushId: 1, url: 'https://x' } }, []],
  ['a push without details', 'git.push', { resource: null }, []],
  [
    'messages that are null',
    'git.push',
    { message: null, detailedMessage: null, resourceVersion: '1.0-preview' },
    [{ headSha: A }],
  ],
  [
    'ids that are null',
    'git.push',
    { subscriptionId: null, notificationId: null },
    [{ headSha: A }],
  ],
  [
    'a pull request',
    'git.pullrequest.created',
    {},
    [
      {
        action: 'opened',
        number: 8,
        ref: 'roof/1',
        base: 'main',
        headSha: A,
        baseSha: B,
        from: 'My Team/my app',
        sender: 'ada',
      },
    ],
  ],
  [
    'a fork',
    'git.pullrequest.created',
    { 'resource.forkSource': { repository: { name: 'fork', project: { name: 'Eve' } } } },
    [{ from: 'Eve/fork' }],
  ],
  [
    'a deleted fork',
    'git.pullrequest.created',
    { 'resource.forkSource': { name: 'refs/heads/x', repository: null } },
    [{ from: null }],
  ],
  [
    'a pull request with minimal details',
    'git.pullrequest.created',
    { resource: { pullRequestId: 8 } },
    'unmappable',
  ],
  [
    'new commits',
    'git.pullrequest.updated',
    { message: { text: 'Ada updated the source branch of pull request 8 (Roof)' } },
    [{ action: 'synchronize', sender: null }],
  ],
  [
    'an update without a message',
    'git.pullrequest.updated',
    { message: null },
    [{ action: 'updated' }],
  ],
  [
    'an abandoned one',
    'git.pullrequest.updated',
    { 'resource.status': 'abandoned' },
    [{ action: 'closed' }],
  ],
  ['a merge that was tried', 'git.pullrequest.merged', {}, [{ action: 'merge_attempted' }]],
  [
    'a merge',
    'git.pullrequest.merged',
    { 'resource.status': 'completed', 'resource.closedBy': { uniqueName: 'eve' } },
    [{ action: 'merged', sender: 'eve' }],
  ],
  [
    'a comment of version 2.0',
    'ms.vss-code.git-pullrequest-comment-event',
    { resourceVersion: '2.0' },
    [{ event: 'pull_request_comment', number: 8, sender: 'ada' }],
  ],
  [
    'a comment of version 1.0',
    'ms.vss-code.git-pullrequest-comment-event',
    { resourceVersion: '1.0', resource: { id: 1, content: 'hi', author: { uniqueName: 'ada' } } },
    [{ number: null, repo: null, sender: 'ada' }],
  ],
  [
    'a comment that was deleted',
    'ms.vss-code.git-pullrequest-comment-event',
    { 'resource.comment.isDeleted': true },
    [{ action: 'deleted' }],
  ],
  [
    'a build of version 2.0',
    'build.complete',
    { resourceVersion: '2.0' },
    [{ event: 'pipeline', action: 'succeeded', ref: 'main', headSha: A, repo: null }],
  ],
  [
    'a build of version 1.0',
    'build.complete',
    {
      'resource.sourceVersion': undefined,
      'resource.sourceBranch': undefined,
      'resource.sourceGetVersion': `LG:refs/heads/x/y:${A}`,
    },
    [{ ref: 'x/y', headSha: A }],
  ],
  [
    'a build of a pull request',
    'build.complete',
    { 'resource.sourceBranch': 'refs/pull/8/merge' },
    [{ ref: null, headSha: A }],
  ],
  ['a repository that was made', 'git.repo.created', {}, 'ignored'],
  ['no event', 'x', { eventType: null }, 'malformed'],
]);

for (const [host, header] of [
  ['gitea', 'x-gitea-event'],
  ['forgejo', 'x-forgejo-event'],
] as const) {
  const pull = {
    ...githubPull,
    merged: false,
    base: { ref: 'main', sha: B, repo: { full_name: 'acme/app' } },
  };
  const reviewed = {
    ...githubCommon,
    action: 'reviewed',
    number: 2,
    pull_request: pull,
    review: { type: 'x', content: 'y' },
  };
  const payloads: Readonly<Record<string, Json>> = {
    push: {
      ...githubCommon,
      ref: 'refs/heads/main',
      before: B,
      after: A,
      commits: [],
      head_commit: null,
      pusher: { login: 'ada' },
    },
    create: { ...githubCommon, ref: 'v1', ref_type: 'tag', sha: A },
    delete: { ...githubCommon, ref: 'v1', ref_type: 'tag', pusher_type: 'user' },
    pull_request: {
      ...githubCommon,
      action: 'synchronized',
      number: 2,
      pull_request: pull,
      review: null,
      requested_reviewer: null,
      commit_id: '',
    },
    pull_request_approved: reviewed,
    pull_request_rejected: reviewed,
    pull_request_comment: reviewed,
    issue_comment: {
      ...githubCommon,
      action: 'created',
      is_pull: true,
      issue: { number: 2, title: 'Roof', pull_request: null },
      comment: { body: 'hi', user: { username: 'ada' } },
    },
  };
  const { pull_request: _, review: __, number: ___, ...common } = reviewed;
  suite(host, header, (event) => payloads[event] ?? githubCommon, [
    ['a push', 'push', {}, [{ headSha: A, baseSha: B, sender: 'ada' }]],
    [
      'an old payload with a secret',
      'push',
      { secret: 'x', sender: { username: 'ada' } },
      [{ sender: 'ada' }],
    ],
    [
      'an annotated tag',
      'push',
      { ref: 'refs/tags/v1', before: ZERO, after: C, head_commit: { id: A } },
      [{ event: 'tag', headSha: A }],
    ],
    ['a deleted branch', 'push', { after: ZERO }, [{ action: 'deleted', headSha: null }]],
    ['a tag that was made', 'create', {}, [{ event: 'tag', headSha: A }]],
    ['a tag that was deleted', 'delete', {}, [{ event: 'tag', action: 'deleted', headSha: null }]],
    ['new commits', 'pull_request', {}, [{ action: 'synchronize', number: 2 }]],
    ['other labels', 'pull_request', { action: 'label_updated' }, [{ action: 'labeled' }]],
    ['no labels', 'pull_request', { action: 'label_cleared' }, [{ action: 'unlabeled' }]],
    [
      'a merge',
      'pull_request',
      { action: 'closed', 'pull_request.merged': true },
      [{ action: 'merged' }],
    ],
    ['a deleted fork', 'pull_request', { 'pull_request.head.repo': null }, [{ from: null }]],
    ['a trimmed fork', 'pull_request', { 'pull_request.head.repo': undefined }, [{ from: null }]],
    [
      'an approval',
      'pull_request_approved',
      {},
      [{ event: 'pull_request_review', action: 'approved' }],
    ],
    ['a refusal', 'pull_request_rejected', {}, [{ action: 'rejected' }]],
    ['a remark', 'pull_request_comment', {}, [{ action: 'commented' }]],
    [
      'a comment under its old name',
      'pull_request_comment',
      { ...payloads['issue_comment'], pull_request: undefined, review: undefined },
      [{ event: 'pull_request_comment', action: 'created', number: 2 }],
    ],
    ['a remark without a review', 'pull_request_comment', { review: null }, 'malformed'],
    ['a review without a review', 'pull_request_approved', { review: null }, 'malformed'],
    ['a comment', 'issue_comment', {}, [{ event: 'pull_request_comment', sender: 'ada' }]],
    ['a comment on an issue', 'issue_comment', { is_pull: false }, [{ event: 'issue_comment' }]],
    ['a wiki', 'wiki', common, 'ignored'],
    ['a run of an action', 'workflow_run', {}, 'ignored'],
  ]);
}
