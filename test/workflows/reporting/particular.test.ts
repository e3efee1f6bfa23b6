import { afterEach, describe, expect, test } from 'vitest';

import type { Finding } from '../../../src/workflows/code-review/analysis.ts';
import { createReporter } from '../../../src/workflows/code-review/reporting/create-reporter.ts';
import type {
  Change,
  HostReporter,
  Report,
} from '../../../src/workflows/code-review/reporting/host-reporter.ts';
import { serve } from './support/fake-host.ts';
import {
  type FakeHost,
  HEAD,
  NUMBER,
  TOKEN,
  fakeBitbucketCloud,
  fakeBitbucketDc,
  fakeGithub,
} from './support/fake-hosts.ts';

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

function started<T extends { close: () => Promise<void> }>(server: T): T {
  open.push(server);
  return server;
}

const { signal } = new AbortController();

const changeOf = ({ repository }: Pick<FakeHost, 'repository'>, jobId = 'job-1'): Change => ({
  jobId,
  repository,
  pullRequest: NUMBER,
  headSha: HEAD,
  ref: 'feature',
  url: 'https://host.example/pull/7',
});

const reporterFor = (provider: string, { access }: Pick<FakeHost, 'access'>): HostReporter =>
  createReporter(provider, { [provider]: access })!;

const found = (...lines: readonly number[]): Report => ({
  state: 'finished',
  findings: lines.map((line): Finding => ({
    file: 'a.ts',
    line,
    column: 1,
    rule: 'no-eval',
    severity: 'error',
    message: 'No.',
  })),
  findingsLeftOut: 0,
  filesChanged: 1,
  filesLeftOut: 0,
});

test('GitHub: a check run is found behind those of many other jobs', async () => {
  const host = started(await fakeGithub());
  const reporter = reporterFor('github', host);
  await reporter.report(changeOf(host), { state: 'pending' }, signal);
  const [own] = host.runs;
  for (let id = 1; id <= 150; id += 1) {
    host.runs.push({ ...own!, id, external_id: `other-${String(id)}`, annotations: [] });
  }
  await reporter.report(changeOf(host), found(3), signal);
  expect(host.runs).toHaveLength(151);
  expect(host.runs.filter(({ conclusion }) => conclusion !== null)).toEqual([own]);
});

test('GitHub: an announcement that is late opens no check run again', async () => {
  const host = started(await fakeGithub());
  const reporter = reporterFor('github', host);
  await reporter.report(changeOf(host), found(3), signal);
  await reporter.report(changeOf(host), { state: 'pending' }, signal);
  expect(host.shown()).toEqual(['failure: 1 finding (1 error) in 1 changed file']);
});

test('GitHub: as many annotations as one request takes, and all of them at once', async () => {
  const host = started(await fakeGithub());
  const lines = Array.from({ length: 120 }, (_, index) => index + 1);
  await reporterFor('github', host).report(changeOf(host), found(...lines), signal);
  expect(host.annotations()).toEqual(lines.slice(0, 50).map((line) => `a.ts:${String(line)}`));
  expect(host.comments[0]?.body).toContain('70 more: see job `job-1`.');
});

describe.each([
  ['bitbucket-cloud', fakeBitbucketCloud],
  ['bitbucket-dc', fakeBitbucketDc],
])('%s', (provider, start) => {
  test('a newer review of a commit replaces what an older one showed on its lines', async () => {
    const host = started(await start());
    const reporter = reporterFor(provider, host);
    await reporter.report(changeOf(host), found(3, 4, 5), signal);
    await reporter.report(changeOf(host, 'job-2'), found(4), signal);
    expect(host.annotations()).toEqual(['a.ts:4']);
    await reporter.report(changeOf(host, 'job-3'), found(), signal);
    expect(host.annotations()).toEqual([]);
  });

  test('an edit that came too late is tried again', async () => {
    const host = started(await start());
    const reporter = reporterFor(provider, host);
    await reporter.report(changeOf(host), found(3), signal);
    const on = ({ method, path }: { method: string; path: string }): boolean =>
      method === 'PUT' && path.includes('/comments/');
    host.faults.push({ on, answer: { status: 409, body: { errors: [] } } });
    const again = (): Promise<void> => reporter.report(changeOf(host), found(4), signal);
    await expect(again()).rejects.toMatchObject({ name: 'Error' });
    await again();
    await reporter.report(changeOf(host), found(5), signal);
    expect(host.comments.map(({ body }) => body)).toEqual([expect.stringContaining('- `a.ts:5` ')]);
  });
});

test.each([
  ['bitbucket-cloud', 'me@acme.example:key', `Basic ${btoa('me@acme.example:key')}`],
  ['bitbucket-cloud', 'key', 'Bearer key'],
  ['azure-repos', 'key', `Basic ${btoa(':key')}`],
])('%s: the token %s is sent as %s', async (provider, token, authorization) => {
  const server = started(await serve('', () => true, []));
  const access = { token, apiUrl: server.apiUrl };
  const reporter = reporterFor(provider, { access });
  await reporter.report(changeOf({ repository: 'a/b' }), found(1), signal).catch(() => null);
  expect(server.requests.map(({ headers }) => headers.authorization)).toContain(authorization);
});

test('an answer that is not of the API is a refusal that says so', async () => {
  const server = started(
    await serve('', () => true, [
      [
        'GET',
        '/repos/a/b/commits/:sha/check-runs',
        () => ({ status: 200, body: { some: 'page' } }),
      ],
    ]),
  );
  const access = { token: TOKEN, apiUrl: server.apiUrl };
  const report = reporterFor('github', { access }).report(
    changeOf({ repository: 'a/b' }),
    { state: 'pending' },
    signal,
  );
  await expect(report).rejects.toMatchObject({
    name: 'HostRefused',
    message: expect.stringContaining('another shape than its API has (check_runs:') as string,
  });
});

test('an answer without end is not read to its end', async () => {
  const server = started(
    await serve('', () => true, [
      [
        'GET',
        '/repos/a/b/commits/:sha/check-runs',
        () => ({ status: 200, body: `"${'x'.repeat(9 * 1024 * 1024)}"` }),
      ],
    ]),
  );
  const access = { token: TOKEN, apiUrl: server.apiUrl };
  const report = reporterFor('github', { access }).report(
    changeOf({ repository: 'a/b' }),
    { state: 'pending' },
    signal,
  );
  await expect(report).rejects.toThrow('the answer is too large');
});
