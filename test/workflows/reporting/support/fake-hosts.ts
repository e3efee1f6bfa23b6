import type { HostAccess } from '../../../../src/hosts/host-access.ts';
import { type HostServer, serve } from './fake-host.ts';

/** A host as its API is documented, with one repository and one pull request. */
export type FakeHost = HostServer &
  Readonly<{
    access: HostAccess;
    /** As the host writes it. */
    repository: string;
    /** What people see at the commit: one line `state: summary` for each name. */
    shown: () => readonly string[];
    /** The texts of all comments, oldest first. */
    comments: { id: number; body: string; foreign?: boolean; version?: number }[];
    /** `path:line` of what is shown on lines. */
    annotations: () => readonly string[];
    /** The host's word for each of our outcomes. */
    states: Readonly<Record<'pending' | 'passed' | 'rejected' | 'failed' | 'superseded', string>>;
  }>;

export const TOKEN = 'secret-token';
export const HEAD = 'a'.repeat(40);
export const NUMBER = 7;

const ok = (body: unknown) => ({ status: 200, body });
const created = (body: unknown) => ({ status: 201, body });
const invalid = (message: string) => ({ status: 422, body: { message } });
const bad = (message: string) => ({ status: 400, body: { message } });
const gone = { status: 404, body: { message: 'Not Found' } };

/** A page as hosts with numbered pages give it. */
function pageOf<T>(all: readonly T[], query: URLSearchParams, sizeName: string): readonly T[] {
  const size = Math.min(Number(query.get(sizeName) ?? 30), 100);
  const page = Number(query.get('page') ?? 1);
  return all.slice((page - 1) * size, page * size);
}

type CheckRun = {
  id: number;
  name: string;
  head_sha: string;
  external_id: string;
  status: string;
  conclusion: string | null;
  output: { title: string; annotations_count: number };
  annotations: { path: string; start_line: number }[];
};

type RunBody = {
  name?: string;
  head_sha?: string;
  external_id?: string;
  status?: string;
  conclusion?: string;
  output?: { title: string; summary: string; annotations?: CheckRun['annotations'] };
};

type StatusBody = { state: string; context: string; description: string; target_url?: string };

/** `isApp`: the token is a GitHub App's, which alone may write check runs. */
export async function fakeGithub(isApp = true): Promise<FakeHost & { runs: CheckRun[] }> {
  const runs: CheckRun[] = [];
  const statuses: StatusBody[] = [];
  const comments: FakeHost['comments'] = [];
  let ids = 100;
  const fill = (run: CheckRun, { output, ...body }: RunBody) => {
    const added = output?.annotations ?? [];
    if (added.length > 50) return invalid('annotations: at most 50');
    if (body.status === 'completed' && body.conclusion === undefined) return invalid('conclusion');
    Object.assign(run, body);
    if (output !== undefined) {
      run.annotations.push(...added);
      run.output = { title: output.title, annotations_count: run.annotations.length };
    }
    return null;
  };
  const forbidden = {
    status: 403,
    body: { message: 'You must authenticate via a GitHub App.' },
  };
  const repo = '/repos/acme/shop';
  const server = await serve(
    '',
    ({ authorization, 'user-agent': agent }) =>
      authorization === `Bearer ${TOKEN}` && agent !== undefined,
    [
      [
        'GET',
        `${repo}/commits/:sha/check-runs`,
        ({ sha }, { query }) => {
          const found = runs
            .filter((run) => run.head_sha === sha && run.name === query.get('check_name'))
            .toReversed();
          return ok({ total_count: found.length, check_runs: pageOf(found, query, 'per_page') });
        },
      ],
      [
        'POST',
        `${repo}/check-runs`,
        (_, { body }) => {
          if (!isApp) return forbidden;
          const given = body as RunBody;
          if (given.name === undefined || given.head_sha === undefined) return invalid('required');
          const run: CheckRun = {
            id: (ids += 1),
            name: given.name,
            head_sha: given.head_sha,
            external_id: given.external_id ?? '',
            status: 'queued',
            conclusion: null,
            output: { title: '', annotations_count: 0 },
            annotations: [],
          };
          const fault = fill(run, given);
          if (fault !== null) return fault;
          runs.push(run);
          return created(run);
        },
      ],
      [
        'PATCH',
        `${repo}/check-runs/:id`,
        ({ id }, { body }) => {
          const run = runs.find((each) => each.id === Number(id));
          if (run === undefined) return gone;
          return fill(run, body) ?? ok(run);
        },
      ],
      ...githubStatuses(repo, statuses),
      ...issueComments(repo, comments, true),
    ],
  );
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'acme/shop',
    runs,
    comments,
    shown: () => [
      ...runs.map(({ conclusion, status, output }) => `${conclusion ?? status}: ${output.title}`),
      ...statuses.map(({ state, description }) => `${state}: ${description}`),
    ],
    annotations: () =>
      runs.flatMap((run) =>
        run.annotations.map((each) => `${each.path}:${String(each.start_line)}`),
      ),
    states: isApp
      ? {
          pending: 'in_progress',
          passed: 'success',
          rejected: 'failure',
          failed: 'failure',
          superseded: 'neutral',
        }
      : {
          pending: 'pending',
          passed: 'success',
          rejected: 'failure',
          failed: 'error',
          superseded: 'pending',
        },
  };
}

function githubStatuses(repo: string, statuses: StatusBody[]) {
  return [
    [
      'GET',
      `${repo}/commits/:sha/status`,
      () => ok({ state: 'x', statuses: statuses.map((each) => ({ ...each })) }),
    ],
    [
      'POST',
      `${repo}/statuses/:sha`,
      (_: unknown, { body }: { body: never }) => {
        const given = body as StatusBody;
        if (!['pending', 'success', 'failure', 'error'].includes(given.state)) {
          return invalid('state');
        }
        if (given.description.length > 140) return invalid('description is too long');
        const index = statuses.findIndex(({ context }) => context === given.context);
        statuses.splice(index === -1 ? statuses.length : index, 1, given);
        return created(given);
      },
    ],
  ] as const;
}

function issueComments(repo: string, comments: FakeHost['comments'], isPaged: boolean) {
  return [
    [
      'GET',
      `${repo}/issues/${String(NUMBER)}/comments`,
      (_: unknown, { query }: { query: URLSearchParams }) =>
        ok(isPaged ? pageOf(comments, query, 'per_page') : comments),
    ],
    [
      'POST',
      `${repo}/issues/${String(NUMBER)}/comments`,
      (_: unknown, { body }: { body: never }) => {
        const comment = { id: comments.length + 1, body: (body as { body: string }).body };
        comments.push(comment);
        return created(comment);
      },
    ],
    [
      'PATCH',
      `${repo}/issues/comments/:id`,
      ({ id }: Readonly<Record<string, string>>, { body }: { body: never }) => {
        const comment = comments.find((each) => each.id === Number(id));
        if (comment === undefined) return gone;
        if (comment.foreign === true) return { status: 403, body: { message: 'Forbidden' } };
        comment.body = (body as { body: string }).body;
        return ok(comment);
      },
    ],
  ] as const;
}

async function fakeGitea(): Promise<FakeHost> {
  const statuses: { id: number; status: string; context: string; description: string }[] = [];
  const comments: FakeHost['comments'] = [];
  const repo = '/repos/acme/shop';
  const newest = () => [
    ...new Map(statuses.map((status) => [status.context, status] as const)).values(),
  ];
  const server = await serve('/api/v1', ({ authorization }) => authorization === `token ${TOKEN}`, [
    [
      'GET',
      `${repo}/commits/:sha/status`,
      () => ok({ state: 'x', statuses: newest().length === 0 ? null : newest() }),
    ],
    [
      'POST',
      `${repo}/statuses/:sha`,
      (_, { body }) => {
        const { state, context, description } = body as StatusBody;
        if (!['pending', 'success', 'failure', 'error', 'warning'].includes(state)) {
          return invalid('state');
        }
        statuses.push({ id: statuses.length + 1, status: state, context, description });
        return created(statuses.at(-1));
      },
    ],
    ...issueComments(repo, comments, false),
  ]);
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'acme/shop',
    comments,
    shown: () => newest().map(({ status, description }) => `${status}: ${description}`),
    annotations: () => [],
    states: {
      pending: 'pending',
      passed: 'success',
      rejected: 'failure',
      failed: 'error',
      superseded: 'warning',
    },
  };
}

async function fakeGitlab(): Promise<FakeHost> {
  type Status = { id: number; name: string; status: string; description: string };
  const statuses: Status[] = [];
  const comments: FakeHost['comments'] = [];
  const project = '/projects/group%2Fsub%2Fshop';
  const server = await serve('/api/v4', (headers) => headers['private-token'] === TOKEN, [
    [
      'GET',
      `${project}/repository/commits/:sha/statuses`,
      (_, { query }) =>
        ok(
          statuses
            .filter(({ name }) => name === query.get('name'))
            .toReversed()
            .slice(0, 1),
        ),
    ],
    [
      'POST',
      `${project}/statuses/:sha`,
      (_, { body }) => {
        const { state, name, description, ref } = body as StatusBody & {
          name: string;
          ref?: string;
        };
        if (ref === undefined) return { status: 404, body: { message: '404 References' } };
        const states = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'];
        if (!states.includes(state)) return bad('state does not have a valid value');
        const current = statuses.findLast((each) => each.name === name);
        const isOpen = current?.status === 'running' || current?.status === 'pending';
        if (current !== undefined && isOpen) {
          if (current.status === state) {
            return bad(`Cannot transition status via :run from :${state}`);
          }
          Object.assign(current, { status: state, description });
          return created(current);
        }
        statuses.push({ id: statuses.length + 1, name, status: state, description });
        return created(statuses.at(-1));
      },
    ],
    [
      'GET',
      `${project}/merge_requests/${String(NUMBER)}/notes`,
      (_, { query }) => ok(pageOf(comments, query, 'per_page')),
    ],
    [
      'POST',
      `${project}/merge_requests/${String(NUMBER)}/notes`,
      (_, { body }) => {
        comments.push({ id: comments.length + 1, body: (body as { body: string }).body });
        return created(comments.at(-1));
      },
    ],
    [
      'PUT',
      `${project}/merge_requests/${String(NUMBER)}/notes/:id`,
      ({ id }, { body }) => edit(comments, id, (body as { body: string }).body),
    ],
  ]);
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'group/sub/shop',
    comments,
    shown: () => statuses.map(({ status, description }) => `${status}: ${description}`),
    annotations: () => [],
    states: {
      pending: 'running',
      passed: 'success',
      rejected: 'failed',
      failed: 'failed',
      superseded: 'canceled',
    },
  };
}

function edit(comments: FakeHost['comments'], id: string | undefined, body: string) {
  const comment = comments.find((each) => each.id === Number(id));
  if (comment === undefined) return gone;
  if (comment.foreign === true) return { status: 403, body: { message: 'Forbidden' } };
  comment.body = body;
  return ok(comment);
}

type BuildBody = { key: string; state: string; description: string; url?: string };

export async function fakeBitbucketCloud(): Promise<FakeHost> {
  const builds = new Map<string, BuildBody>();
  let report: { annotations: Map<string, string> } | null = null;
  const comments: FakeHost['comments'] = [];
  const repo = '/repositories/acme/shop';
  const notes = `${repo}/pullrequests/${String(NUMBER)}/comments`;
  const commented = ({ id, body }: FakeHost['comments'][number]) => ({
    id,
    deleted: false,
    content: { raw: body },
  });
  const server = await serve('/2.0', ({ authorization }) => authorization === `Bearer ${TOKEN}`, [
    [
      'GET',
      `${repo}/commit/:sha/statuses/build/:key`,
      ({ key = '' }) => (builds.has(key) ? ok(builds.get(key)) : gone),
    ],
    [
      'POST',
      `${repo}/commit/:sha/statuses/build`,
      (_, { body }) => {
        const given = body as BuildBody;
        if (given.url === undefined) return bad('url: required key not provided');
        if (given.key.length > 40) return bad('key: too long');
        if (!['SUCCESSFUL', 'FAILED', 'INPROGRESS', 'STOPPED'].includes(given.state)) {
          return bad('state');
        }
        builds.set(given.key, given);
        return created(given);
      },
    ],
    ['GET', `${repo}/commit/:sha/reports/:id`, () => (report === null ? gone : ok({}))],
    [
      'DELETE',
      `${repo}/commit/:sha/reports/:id`,
      () => {
        report = null;
        return { status: 204 };
      },
    ],
    [
      'PUT',
      `${repo}/commit/:sha/reports/:id`,
      () => {
        report ??= { annotations: new Map() };
        return ok({});
      },
    ],
    [
      'POST',
      `${repo}/commit/:sha/reports/:id/annotations`,
      (_, { body }) => {
        const given = body as { external_id: string; path: string; line: number }[];
        if (report === null) return gone;
        if (given.length > 100) return bad('at most 100');
        for (const { external_id: id, path, line } of given) {
          report.annotations.set(id, `${path}:${String(line)}`);
        }
        return ok({});
      },
    ],
    [
      'GET',
      notes,
      (_, { query }) => {
        const values = pageOf(comments, query, 'pagelen').map(commented);
        const page = Number(query.get('page'));
        const isLast = page * 100 >= comments.length;
        // The host's word for where the next page is: a client that followed it would take the token elsewhere.
        return ok({ values, ...(!isLast && { next: 'http://127.0.0.1:1/elsewhere' }) });
      },
    ],
    [
      'POST',
      notes,
      (_, { body }) => {
        const { content } = body as { content: { raw: string } };
        comments.push({ id: comments.length + 1, body: content.raw });
        return created({ id: comments.length, content });
      },
    ],
    [
      'PUT',
      `${notes}/:id`,
      ({ id }, { body }) => edit(comments, id, (body as { content: { raw: string } }).content.raw),
    ],
  ]);
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'acme/shop',
    comments,
    shown: () => [...builds.values()].map(({ state, description }) => `${state}: ${description}`),
    annotations: () => [...(report?.annotations.values() ?? [])],
    states: {
      pending: 'INPROGRESS',
      passed: 'SUCCESSFUL',
      rejected: 'FAILED',
      failed: 'FAILED',
      superseded: 'STOPPED',
    },
  };
}

export async function fakeBitbucketDc(): Promise<FakeHost> {
  const builds = new Map<string, BuildBody>();
  const annotations: string[] = [];
  const comments: FakeHost['comments'] = [];
  const repo = '/projects/ACME/repos/shop';
  const pull = `/api/latest${repo}/pull-requests/${String(NUMBER)}`;
  const report = `/insights/latest${repo}/commits/:sha/reports/:key`;
  const server = await serve(
    '/bitbucket/rest',
    ({ authorization }) => authorization === `Bearer ${TOKEN}`,
    [
      [
        'GET',
        `/api/latest${repo}/commits/:sha/builds`,
        (_, { query }) => {
          const key = query.get('key') ?? '';
          return builds.has(key) ? ok(builds.get(key)) : gone;
        },
      ],
      [
        'POST',
        `/api/latest${repo}/commits/:sha/builds`,
        (_, { body }) => {
          const given = body as BuildBody;
          if (given.url === undefined) return bad('url');
          const states = ['SUCCESSFUL', 'FAILED', 'INPROGRESS', 'CANCELLED', 'UNKNOWN'];
          if (!states.includes(given.state)) return bad('state');
          builds.set(given.key, given);
          return { status: 204 };
        },
      ],
      ['PUT', report, () => ok({})],
      [
        'DELETE',
        `${report}/annotations`,
        () => {
          annotations.length = 0;
          return { status: 204 };
        },
      ],
      [
        'POST',
        `${report}/annotations`,
        (_, { body }) => {
          const given = (body as { annotations: { path: string; line: number }[] }).annotations;
          annotations.push(...given.map(({ path, line }) => `${path}:${String(line)}`));
          return { status: 204 };
        },
      ],
      [
        'GET',
        `${pull}/activities`,
        (_, { query }) => {
          const start = Number(query.get('start'));
          const limit = Number(query.get('limit'));
          const newestFirst = comments.toReversed().map(({ id, body, version = 0 }) => ({
            action: 'COMMENTED',
            comment: { id, text: body, version },
          }));
          const all = [{ action: 'OPENED' }, ...newestFirst];
          const end = start + limit;
          const isLastPage = end >= all.length;
          return ok({
            values: all.slice(start, end),
            isLastPage,
            nextPageStart: isLastPage ? null : end,
          });
        },
      ],
      [
        'POST',
        `${pull}/comments`,
        (_, { body }) => {
          const { text } = body as { text: string };
          comments.push({ id: comments.length + 1, body: text, version: 0 });
          return created({});
        },
      ],
      [
        'PUT',
        `${pull}/comments/:id`,
        ({ id }, { body }) => {
          const { text, version } = body as { text: string; version: number };
          const comment = comments.find((each) => each.id === Number(id));
          if (comment !== undefined && (comment.version ?? 0) !== version) {
            return { status: 409, body: { errors: [{ message: 'out of date' }] } };
          }
          const answer = edit(comments, id, text);
          if (comment !== undefined && answer.status === 200) comment.version = version + 1;
          return answer;
        },
      ],
    ],
  );
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'ACME/shop',
    comments,
    shown: () => [...builds.values()].map(({ state, description }) => `${state}: ${description}`),
    annotations: () => annotations,
    states: {
      pending: 'INPROGRESS',
      passed: 'SUCCESSFUL',
      rejected: 'FAILED',
      failed: 'FAILED',
      superseded: 'CANCELLED',
    },
  };
}

async function fakeAzureRepos(): Promise<FakeHost> {
  type Status = {
    id: number;
    state: string;
    description: string;
    iterationId?: number;
    context: { genre: string; name: string };
  };
  const statuses: Status[] = [];
  const comments: FakeHost['comments'] = [];
  const pull = `/My%20Shop/_apis/git/repositories/shop/pullRequests/${String(NUMBER)}`;
  const versioned =
    (answer: (body: never, id: string) => ReturnType<typeof ok>) =>
    (
      { id = '' }: Readonly<Record<string, string>>,
      { query, body }: { query: URLSearchParams; body: never },
    ) =>
      query.get('api-version') === null ? bad('No api-version') : answer(body, id);
  const server = await serve(
    '/acme',
    ({ authorization }) => authorization === `Basic ${Buffer.from(`:${TOKEN}`).toString('base64')}`,
    [
      [
        'GET',
        `${pull}/iterations`,
        versioned(() =>
          ok({
            value: [
              { id: 1, sourceRefCommit: { commitId: 'b'.repeat(40) } },
              { id: 2, sourceRefCommit: { commitId: HEAD } },
              { id: 3, sourceRefCommit: { commitId: 'c'.repeat(40) } },
            ],
          }),
        ),
      ],
      ['GET', `${pull}/statuses`, versioned(() => ok({ value: statuses }))],
      [
        'POST',
        `${pull}/statuses`,
        versioned((body) => {
          statuses.push({ ...(body as Status), id: statuses.length + 1 });
          return ok(statuses.at(-1));
        }),
      ],
      [
        'GET',
        `${pull}/threads`,
        versioned(() =>
          ok({
            value: comments.map(({ id, body }) => ({
              id: id + 1000,
              isDeleted: false,
              comments: [{ id, content: body }],
            })),
          }),
        ),
      ],
      [
        'POST',
        `${pull}/threads`,
        versioned((body) => {
          const [first] = (body as { comments: { content: string }[] }).comments;
          comments.push({ id: comments.length + 1, body: first?.content ?? '' });
          return ok({});
        }),
      ],
      [
        'PATCH',
        `${pull}/threads/:thread/comments/:id`,
        versioned((body, id) => edit(comments, id, (body as { content: string }).content)),
      ],
    ],
  );
  return {
    ...server,
    access: { token: TOKEN, apiUrl: server.apiUrl },
    repository: 'My Shop/shop',
    comments,
    shown: () =>
      statuses
        .filter(({ iterationId }) => iterationId === 2)
        .slice(-1)
        .map(({ state, description }) => `${state}: ${description}`),
    annotations: () => [],
    states: {
      pending: 'pending',
      passed: 'succeeded',
      rejected: 'failed',
      failed: 'error',
      superseded: 'notApplicable',
    },
  };
}

export const FAKE_HOSTS: Readonly<Record<string, () => Promise<FakeHost>>> = {
  github: fakeGithub,
  'github, for the token of a person': () => fakeGithub(false),
  gitlab: fakeGitlab,
  'bitbucket-cloud': fakeBitbucketCloud,
  'bitbucket-dc': fakeBitbucketDc,
  'azure-repos': fakeAzureRepos,
  gitea: fakeGitea,
  forgejo: fakeGitea,
};
