import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createAnalyser } from '../../../src/workflows/code-review/ast-analyser.ts';
import type { HostsAccess } from '../../../src/hosts/host-access.ts';
import { isSiteOf } from '../../../src/hosts/public-sites.ts';
import { createCodeReview } from '../../../src/workflows/index.ts';
import { GitRepository, temporaryFolder } from '../support/git-repository.ts';
import { type GitHttpServer, serveGit } from '../support/git-http-server.ts';
import { FakeJob, type Review, triggerOf } from '../support/review.ts';
import { type FakeHost, fakeGithub } from './support/fake-hosts.ts';

type Reported = Review & Readonly<{ reporting?: { reported: boolean; error?: string } }>;

const folder = temporaryFolder();
const git: GitHttpServer = await serveGit(folder.path);
afterAll(async () => {
  await git.close();
  folder.remove();
});

let host: Awaited<ReturnType<typeof fakeGithub>>;
beforeEach(async () => {
  host = await fakeGithub();
});
afterEach(() => host.close());

let repositories = 0;

/** A pull request with one finding; `signedOff` is the one analysis that its job hears. */
function change(lastLine = 'debugger;\n') {
  repositories += 1;
  const name = `shop-${String(repositories)}`;
  const repo = new GitRepository(join(folder.path, name));
  const baseSha = repo.commit({ 'a.ts': '1;\n' });
  repo.branch('feature');
  const headSha = repo.commit({ 'a.ts': `1;\n${lastLine}` });
  return { cloneUrl: `${git.url}/${name}/.git`, baseSha, headSha };
}

function jobFor(given: ReturnType<typeof change>, reporting: HostsAccess) {
  const options = {
    dataDir: join(folder.path, 'data'),
    cloneAllow: [`${git.url}/`, pathToFileURL(folder.path).href],
  };
  const analyse = createAnalyser(options);
  const { signal } = new AbortController();
  const job = new FakeJob(triggerOf(given), (body) =>
    analyse({ jobId: 'job-1', waitId: 'w', ...(body as object) }, signal),
  );
  const workflow = createCodeReview({ ...options, reporting });
  return { job, run: () => job.run(workflow) as Promise<Reported> };
}

const github = ({ access }: FakeHost): HostsAccess => ({ github: access });

describe('a review of which its host hears', () => {
  test('is announced, and its findings are on their lines', async () => {
    const given = change();
    const { job, run } = jobFor(given, github(host));

    const result = await run();

    expect(result.reporting).toEqual({ reported: true });
    expect([...job.steps.keys()]).toEqual(['report-pending', 'fetch-diff', 'report-result']);
    expect(host.runs).toMatchObject([
      { head_sha: given.headSha, external_id: 'job-1', conclusion: 'failure' },
    ]);
    expect(host.annotations()).toEqual(['a.ts:2']);
    expect(host.comments).toHaveLength(1);
  });

  test('tells it once, however often the job runs', async () => {
    const { run } = jobFor(change(), github(host));
    await run();
    const { length } = host.requests;
    await run();
    expect(host.requests).toHaveLength(length);
  });

  test('keeps its findings when the token is wrong', async () => {
    const { run } = jobFor(change(), { github: { ...host.access, token: 'wrong' } });
    const result = await run();
    expect(result.findings).toHaveLength(1);
    expect(result.reporting).toEqual({
      reported: false,
      error: expect.stringContaining('Check that GITHUB_TOKEN is valid') as string,
    });
    expect(JSON.stringify(result)).not.toContain('wrong');
  });

  test('does not wait with the review for a host that is down, and tries again at the end', async () => {
    const { job, run } = jobFor(change(), github(host));
    host.faults.push({ answer: { status: 500 } }, { answer: { status: 502 } });
    await expect(run()).rejects.toThrow('GitHub answered');
    expect([...job.steps.keys()]).toEqual(['report-pending', 'fetch-diff']);
    expect((await run()).reporting).toEqual({ reported: true });
    expect(job.requests).toHaveLength(1);
  });

  test('keeps its findings when the host is down until the last attempt', async () => {
    const { job, run } = jobFor(change(), github(host));
    job.attempt = 5;
    host.faults.push({ answer: { status: 500 } }, { answer: { status: 502 } });
    const result = await run();
    expect(result.findings).toHaveLength(1);
    expect(result.reporting).toMatchObject({ reported: false });
  });

  test('leaves a host alone for as long as it said, also from one step to the next', async () => {
    const { run } = jobFor(change(), github(host));
    host.faults.push({ answer: { status: 429, headers: { 'retry-after': '3600' } } });
    await expect(run()).rejects.toMatchObject({ name: 'RetryAfter' });
    await expect(run()).rejects.toMatchObject({ name: 'RetryAfter' });
    expect(host.requests).toHaveLength(1);
  });
});

describe('nobody hears of a review', () => {
  test('without a token', async () => {
    const { job, run } = jobFor(change(), {});
    const result = await run();
    expect(result).not.toHaveProperty('reporting');
    expect([...job.steps.keys()]).toEqual(['fetch-diff']);
  });

  test('with the token of another host', async () => {
    const { run } = jobFor(change(), { gitlab: host.access });
    expect(await run()).not.toHaveProperty('reporting');
    expect(host.requests).toEqual([]);
  });

  test('of a folder on this machine', async () => {
    const given = change();
    const cloneUrl = given.cloneUrl.replace(git.url, pathToFileURL(folder.path).href);
    const { run } = jobFor({ ...given, cloneUrl }, github(host));
    expect(await run()).not.toHaveProperty('reporting');
    expect(host.requests).toEqual([]);
  });
});

test.each([
  ['https://api.github.com', 'https://github.com/acme/shop.git', true],
  ['https://api.github.com', 'https://github.example/acme/shop.git', false],
  ['https://api.github.com', 'https://github.com.evil.example/acme/shop.git', false],
  ['https://api.github.com', 'file:///tmp/github.com/shop', false],
  ['https://api.github.com', null, false],
  ['https://gitlab.com/api/v4', 'https://gitlab.com/acme/shop.git', true],
  ['https://api.bitbucket.org/2.0', 'https://bitbucket.org/acme/shop.git', true],
  ['https://dev.azure.com/acme', 'https://dev.azure.com/acme/shop/_git/shop', true],
  ['https://dev.azure.com/acme', 'https://acme.visualstudio.com/shop/_git/shop', true],
  ['https://dev.azure.com/acme', 'https://visualstudio.com.evil.example/x', false],
  ['https://github.example/api/v3', 'https://git.example/acme/shop.git', true],
  ['http://gitea:3000/api/v1', 'file:///srv/shop', false],
])('the API at %s knows %s: %s', (apiUrl, cloneUrl, knows) => {
  expect(isSiteOf(apiUrl, cloneUrl)).toBe(knows);
});
