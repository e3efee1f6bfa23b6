import { describe, expect, test } from 'vitest';

import type { Comment } from '../../src/events/trigger.ts';
import { withCommand } from '../../src/ingress/webhooks/commands.ts';
import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import { planJobs } from '../../src/ingress/webhooks/plan-jobs.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';
import type { WebhookSource } from '../../src/platform/webhook-sources.ts';
import { matches } from '../../src/sdk/trigger.ts';
import { trigger } from '../support/jobs.ts';

const source = (change: Partial<WebhookSource> = {}): WebhookSource => ({
  name: 'github',
  provider: 'github',
  secrets: [],
  repositories: null,
  maxPerMinute: null,
  allowedIps: null,
  ...change,
});

const member: Comment = { text: '/review', author: 'ada', isMember: true };

const commandOf = (
  comment: Partial<Comment>,
  rules: Partial<WebhookSource> = {},
  change: object = {},
) =>
  withCommand(
    {
      ...trigger,
      event: 'pull_request_comment',
      action: 'created',
      sender: 'ada',
      comment: { ...member, ...comment },
      ...change,
    },
    source(rules),
  ).comment?.command;

describe('a command', () => {
  test.each([
    ['/review', 'review'],
    ['/review please\nand more', 'review'],
    ['/cancel\r\n', 'cancel'],
    ['/re-test', 're-test'],
    ['please /review', undefined],
    ['hello\n/review', undefined],
    ['> /review', undefined],
    ['/Review', undefined],
    ['/usr/bin/env', undefined],
    ['/', undefined],
    ['', undefined],
  ])('is the word after the slash that the comment begins with: %j', (text, command) => {
    expect(commandOf({ text })).toBe(command);
  });

  test('is given by members, where the host says who is one, and by those of the list', () => {
    const { isMember: _, ...unknown } = member;
    expect(commandOf({ isMember: false })).toBeUndefined();
    expect(
      withCommand({ ...trigger, action: 'created', sender: 'ada', comment: unknown }, source())
        .comment,
    ).toEqual(unknown);
    expect(commandOf({ isMember: false }, { commandAuthors: ['Ada'] })).toBe('review');
    expect(commandOf({ isMember: false }, { commandAuthors: ['eve'] })).toBeUndefined();
  });

  test('is given by no bot, no account of ours, nobody whose sender is another, and by no change', () => {
    expect(commandOf({ author: 'x[bot]' }, {}, { sender: 'x[bot]' })).toBeUndefined();
    expect(commandOf({}, { ownAccounts: ['ada'] })).toBeUndefined();
    expect(commandOf({}, {}, { sender: 'eve' })).toBeUndefined();
    expect(commandOf({ author: null }, {}, { sender: null })).toBeUndefined();
    expect(commandOf({}, {}, { action: 'edited' })).toBeUndefined();
  });

  test('holds only where the source lets the trigger start something', () => {
    expect(commandOf({}, { repositories: ['octo/other'] })).toBeUndefined();
    expect(commandOf({}, { filters: { only: { event: ['push'] } } })).toBeUndefined();
    expect(commandOf({}, { repositories: ['octo/repo'] })).toBe('review');
  });

  test('that a stored trigger has is forgotten, and decided anew', () => {
    expect(commandOf({ command: 'review', isMember: false })).toBeUndefined();
  });

  test('is a field of matchers', () => {
    const on = [{ event: 'pull_request_comment', command: 'review' }];
    const about = { ...trigger, event: 'pull_request_comment', action: 'created' } as const;
    expect(matches(on, { ...about, comment: { ...member, command: 'review' } })).toBe(true);
    expect(matches(on, { ...about, comment: member })).toBe(false);
    expect(matches(on, about)).toBe(false);
  });
});

const commented = (association: string, text: string) => ({
  action: 'created',
  issue: { number: 7, title: 'A change', pull_request: {} },
  comment: { body: text, user: { login: 'ada' }, author_association: association },
  repository: { full_name: 'octo/repo', html_url: 'https://github.com/octo/repo' },
  sender: { login: 'ada' },
});

function plan(payload: object, rules: Partial<WebhookSource> = {}) {
  const read = interpret(providerOf('github'), {
    headers: { 'x-github-event': 'issue_comment', 'x-github-delivery': 'guid-1' },
    body: Buffer.from(JSON.stringify(payload)),
    format: 'json',
  });
  if (read.kind !== 'read') throw new Error(read.detail);
  const planned = {
    workflow: 'code-review',
    priority: 5,
    concurrency: null,
    retry: { maxAttempts: 1, firstDelayMs: 1, maxDelayMs: 1 },
  };
  return planJobs(read, {
    source: source(rules),
    deliveryId: 'guid-1',
    plan: (given) =>
      matches([{ event: 'pull_request_comment', command: 'review' }], given) ? [planned] : [],
    localClones: [],
  });
}

describe('a comment on GitHub', () => {
  test.each(['OWNER', 'MEMBER', 'COLLABORATOR'])('by a %s starts what it asks for', (of) => {
    expect(plan(commented(of, '/review'))).toMatchObject({ outcome: 'accepted', jobs: [{}] });
  });

  test.each(['CONTRIBUTOR', 'FIRST_TIME_CONTRIBUTOR', 'FIRST_TIMER', 'MANNEQUIN', 'NONE', 7])(
    'by a %s, as the author of a fork is, starts nothing and says why',
    (of) => {
      expect(plan(commented(of as string, '/review'))).toMatchObject({
        outcome: 'ignored',
        jobs: [],
        reason: expect.stringContaining('may not give the command /review') as string,
      });
    },
  );

  test('keeps the beginning of its text, without what Postgres refuses', () => {
    const [kept] = plan(commented('OWNER', `a\u0000${'b'.repeat(5000)}`)).triggers;
    expect(kept?.comment?.text).toHaveLength(1024);
    expect(kept?.comment?.text.startsWith('a\uFFFDb')).toBe(true);
  });

  test('that cancels says so', () => {
    expect(plan(commented('OWNER', '/cancel'))).toMatchObject({
      jobs: [],
      reason: 'The command /cancel ends the open jobs of pull request 7',
    });
  });
});

describe('the other hosts', () => {
  const repository = { full_name: 'octo/repo', links: { html: { href: 'https://b.example/o/r' } } };
  const dcRepository = { slug: 'repo', project: { key: 'OCTO' } };
  const dcRef = { displayId: 'main', latestCommit: 'a'.repeat(40), repository: dcRepository };
  const azureRepository = { name: 'repo', project: { name: 'octo' } };
  test.each([
    [
      'gitea',
      'issue_comment',
      {
        action: 'created',
        is_pull: true,
        issue: { number: 7 },
        comment: { body: '/review', user: { login: 'ada' } },
        repository: { full_name: 'octo/repo' },
        sender: { login: 'ada' },
      },
    ],
    [
      'gitlab',
      'Note Hook',
      {
        object_kind: 'note',
        user: { username: 'ada' },
        project: { path_with_namespace: 'octo/repo' },
        object_attributes: { note: '/review', noteable_type: 'MergeRequest' },
        merge_request: {
          iid: 7,
          source_branch: 'feature',
          target_branch: 'main',
          last_commit: { id: 'a'.repeat(40) },
        },
      },
    ],
    [
      'bitbucket-cloud',
      'pullrequest:comment_created',
      {
        comment: { content: { raw: '/review' }, user: { nickname: 'ada' } },
        actor: { nickname: 'ada' },
        repository,
        pullrequest: {
          id: 7,
          source: { branch: { name: 'feature' }, commit: { hash: 'a'.repeat(12) } },
          destination: { branch: { name: 'main' }, commit: { hash: 'b'.repeat(12) } },
        },
      },
    ],
    [
      'bitbucket-dc',
      'pr:comment:added',
      {
        eventKey: 'pr:comment:added',
        actor: { name: 'ada' },
        comment: { text: '/review', author: { name: 'ada' } },
        pullRequest: { id: 7, fromRef: { ...dcRef, displayId: 'feature' }, toRef: dcRef },
      },
    ],
    [
      'azure-repos',
      'ms.vss-code.git-pullrequest-comment-event',
      {
        resource: {
          comment: { content: '/review', author: { uniqueName: 'ada' } },
          pullRequest: {
            pullRequestId: 7,
            repository: azureRepository,
            sourceRefName: 'refs/heads/feature',
            targetRefName: 'refs/heads/main',
          },
        },
      },
    ],
  ] as const)('say no membership, so %s goes by the list of the source', (host, event, payload) => {
    const { facts } = providerOf(host).read(event, payload);
    const given = { ...facts[0]!, provider: host, source: 's', deliveryId: 'd' };
    expect(given).toMatchObject({
      event: 'pull_request_comment',
      pullRequest: { number: 7 },
      comment: { text: '/review', author: 'ada' },
    });
    expect(withCommand(given, source()).comment?.command).toBeUndefined();
    const listed = source({ commandAuthors: ['ADA'] });
    expect(withCommand(given, listed).comment?.command).toBe('review');
  });
});
