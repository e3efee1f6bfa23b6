import { describe, expect, test } from 'vitest';

import { github } from '../../src/ingress/webhooks/github.ts';
import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import {
  Malformed,
  Unmappable,
  type WebhookProvider,
} from '../../src/ingress/webhooks/provider.ts';
import { pullRequestPayload } from './support/ingress.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const NONE = '0'.repeat(40);

const repository = { id: 7, full_name: 'acme/app', clone_url: 'https://github.com/acme/app.git' };
const about = { repository, sender: { login: 'ada' } };

/** The one fact of a payload. */
function factOf(event: string, payload: Record<string, unknown>) {
  const { facts } = github.read(event, { ...about, ...payload });
  expect(facts).toHaveLength(1);
  return facts[0]!;
}

const withheld = (event: string, payload: Record<string, unknown>) => {
  const reading = github.read(event, { ...about, ...payload });
  expect(reading.facts).toEqual([]);
  return reading.withheld;
};

describe('a pull request', () => {
  const closed = (merged: unknown) =>
    factOf('pull_request', pullRequestPayload({ merged }, { action: 'closed' }));

  test('that was closed was merged or not', () => {
    expect(closed(true).action).toBe('merged');
    expect(closed(false).action).toBe('closed');
    expect(closed('true').action).toBe('closed');
  });

  test('comes from a fork, or from one that was deleted', () => {
    const from = (repo: unknown) =>
      factOf('pull_request', pullRequestPayload({ head: { ref: 'roof', sha: A, repo } }))
        .pullRequest?.headRepository;
    expect([from({ full_name: 'eve/app' }), from(null)]).toEqual(['eve/app', null]);
  });

  test('has one number', () => {
    expect(() => github.read('pull_request', pullRequestPayload({}, { number: 3 }))).toThrow(
      Unmappable,
    );
  });

  test.each(['locked', 'auto_merge_enabled', 'never_heard_of'])(
    'passes the action %s through',
    (action) => {
      expect(factOf('pull_request', pullRequestPayload({}, { action })).action).toBe(action);
    },
  );
});

describe('a push', () => {
  const push = (change: Record<string, unknown>) =>
    factOf('push', {
      ref: 'refs/heads/main',
      before: A,
      after: B,
      head_commit: { id: B },
      ...change,
    });

  test('updates, creates or deletes', () => {
    expect(push({})).toMatchObject({
      event: 'push',
      action: 'updated',
      ref: 'main',
      headSha: B,
      baseSha: A,
    });
    expect(push({ before: NONE })).toMatchObject({ action: 'created', headSha: B, baseSha: null });
    expect(push({ after: NONE, head_commit: null })).toMatchObject({
      action: 'deleted',
      headSha: null,
      baseSha: A,
    });
  });

  test('of an annotated tag is about its commit, not the tag object', () => {
    const tag = { ref: 'refs/tags/v1', before: NONE, after: A };
    expect(push({ ...tag, head_commit: { id: B } })).toMatchObject({
      event: 'tag',
      ref: 'v1',
      headSha: B,
    });
    expect(push({ ...tag, head_commit: null })).toMatchObject({ event: 'tag', headSha: null });
  });

  test('of something else than branches and tags is ignored', () => {
    expect(withheld('push', { ref: 'refs/notes/commits', before: A, after: B })).toBe(
      'The push is of neither a branch nor a tag',
    );
  });

  test('without any tip is unmappable', () => {
    expect(() => push({ before: NONE, after: NONE })).toThrow(Unmappable);
  });

  test.each([
    [
      'create',
      { ref: 'roof', ref_type: 'branch', master_branch: 'main' },
      { event: 'push', action: 'created', ref: 'roof', headSha: null },
    ],
    [
      'delete',
      { ref: 'v1', ref_type: 'tag' },
      { event: 'tag', action: 'deleted', ref: 'v1', headSha: null },
    ],
  ])('is told by %s too', (event, payload, expected) => {
    expect(factOf(event, payload)).toMatchObject(expected);
  });

  test('a repository that was created is none', () => {
    expect(
      withheld('create', { ref: null, ref_type: 'repository', master_branch: 'main' }),
    ).toContain('neither a branch nor a tag');
  });
});

describe('a comment', () => {
  test('on a pull request comes as one on an issue', () => {
    const issue = { number: 5, title: 'Leaks', html_url: 'https://github.com/acme/app/pull/5' };
    const comment = { action: 'created', comment: {} };
    expect(
      factOf('issue_comment', { ...comment, issue: { ...issue, pull_request: {} } }),
    ).toMatchObject({
      event: 'pull_request_comment',
      pullRequest: { number: 5, title: 'Leaks', baseBranch: null },
      headSha: null,
    });
    expect(factOf('issue_comment', { ...comment, issue })).toMatchObject({
      event: 'issue_comment',
      pullRequest: null,
    });
  });

  test('on a commit names the commit', () => {
    expect(
      factOf('commit_comment', { action: 'created', comment: { commit_id: A } }),
    ).toMatchObject({ event: 'commit_comment', headSha: A });
  });
});

describe('a run', () => {
  const ofRepository = (id: number) => ({
    number: id,
    base: { ref: 'main', sha: B, repo: { id } },
  });

  test.each([
    [
      'check_suite',
      {
        check_suite: {
          head_sha: A,
          head_branch: 'roof',
          pull_requests: [ofRepository(9), ofRepository(7)],
        },
      },
    ],
    [
      'check_run',
      {
        check_run: {
          head_sha: A,
          check_suite: { head_branch: 'roof' },
          pull_requests: [ofRepository(7)],
        },
      },
    ],
    [
      'workflow_run',
      {
        workflow_run: {
          head_sha: A,
          head_branch: 'roof',
          pull_requests: [ofRepository(9), ofRepository(7)],
        },
      },
    ],
  ])('of %s belongs to the pull request of its own repository', (event, payload) => {
    expect(factOf(event, { action: 'rerequested', ...payload })).toMatchObject({
      event: event === 'workflow_run' ? 'pipeline' : 'check',
      ref: 'roof',
      headSha: A,
      baseSha: B,
      pullRequest: { number: 7, baseBranch: 'main' },
    });
  });

  test.each([[[ofRepository(9)]], [[]], [null], [[null, 'x', {}]]])(
    'with the pull requests %j belongs to none',
    (pull_requests) => {
      const workflow_run = { head_sha: A, head_branch: null, pull_requests };
      expect(factOf('workflow_run', { action: 'completed', workflow_run })).toMatchObject({
        pullRequest: null,
        baseSha: null,
        ref: null,
      });
    },
  );
});

test.each(['star', 'sponsorship', 'workflow_job', 'constructor', '__proto__'])(
  'the event %s is ignored',
  (event) => {
    expect(withheld(event, {})).toBe(`The event "${event}" is not one that jobs start on`);
  },
);

test('repositories that were added to an installation are a fact without a repository', () => {
  const payload = {
    action: 'added',
    installation: {},
    repositories_added: [],
    repositories_removed: [],
  };
  const { facts } = github.read('installation_repositories', {
    ...payload,
    sender: { login: 'ada' },
  });
  expect(facts).toMatchObject([
    { event: 'installation', action: 'added', repository: null, sender: 'ada' },
  ]);
});

test('a fault of ours becomes a delivery to log, whichever step it is in', () => {
  const broken = (change: Partial<WebhookProvider>) =>
    interpret(
      { ...github, ...change },
      { headers: { 'x-github-event': 'star' }, body: Buffer.from('{}'), format: 'json' },
    );
  const fail = (): never => {
    throw new TypeError('a bug');
  };
  for (const change of [{ identify: fail }, { redact: fail }, { read: fail }]) {
    expect(broken(change)).toMatchObject({
      kind: 'read',
      unmappable: true,
      facts: [],
      fault: expect.stringContaining('a bug'),
    });
  }
  expect(
    broken({
      read: () => {
        throw new Malformed('no');
      },
    }),
  ).toEqual({ kind: 'malformed', detail: 'no' });
});
