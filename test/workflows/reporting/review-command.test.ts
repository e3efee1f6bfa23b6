import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';

import type { HostsAccess } from '../../../src/hosts/host-access.ts';
import { matches, type Trigger } from '../../../src/sdk/index.ts';
import { createAnalyser } from '../../../src/workflows/code-review/ast-analyser.ts';
import { withHead } from '../../../src/workflows/code-review/find-head-trigger.ts';
import { createCodeReview } from '../../../src/workflows/index.ts';
import { GitRepository, temporaryFolder } from '../support/git-repository.ts';
import { type GitHttpServer, serveGit } from '../support/git-http-server.ts';
import { FakeJob, triggerOf } from '../support/review.ts';
import { fakeGithub } from './support/fake-hosts.ts';

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

/** A pull request of a fork: its head is only under the ref that the host makes. */
function change() {
  repositories += 1;
  const name = `commented-${String(repositories)}`;
  const repo = new GitRepository(join(folder.path, name));
  const baseSha = repo.commit({ 'a.ts': '1;\n' });
  repo.branch('feature');
  const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
  repo.git('update-ref', 'refs/pull/7/head', headSha);
  repo.git('checkout', '--quiet', 'main');
  repo.git('branch', '--quiet', '-D', 'feature');
  return { cloneUrl: `${git.url}/${name}/.git`, baseSha, headSha };
}

/** As GitHub tells of a comment: with the number of the pull request, and without its commits. */
const commented = (cloneUrl: string): Trigger => {
  const about = triggerOf({ cloneUrl, headSha: '' });
  return {
    ...about,
    event: 'pull_request_comment',
    action: 'created',
    pullRequest: {
      number: 7,
      title: 'A change',
      url: null,
      headRepository: null,
      baseBranch: null,
      baseSha: null,
    },
    ref: null,
    headSha: null,
    comment: { text: '/review', author: 'ada', isMember: true, command: 'review' },
  };
};

function jobFor(trigger: Trigger, reporting: HostsAccess) {
  const options = {
    dataDir: join(folder.path, 'data'),
    cloneAllow: [`${git.url}/`, pathToFileURL(folder.path).href],
  };
  const analyse = createAnalyser(options);
  const { signal } = new AbortController();
  const job = new FakeJob(trigger, (body) =>
    analyse({ jobId: 'job-1', waitId: 'w', ...(body as object) }, signal),
  );
  const workflow = createCodeReview({ ...options, reporting });
  return { job, workflow, run: () => job.run(workflow) };
}

test('/review is what code-review starts on, and no other comment', () => {
  const { workflow } = jobFor(commented('https://github.com/acme/shop.git'), {});
  const review = commented('https://github.com/acme/shop.git');
  expect(matches(workflow.on, review)).toBe(true);
  expect(matches(workflow.on, { ...review, comment: { text: '/review', author: 'eve' } })).toBe(
    false,
  );
});

test('without a token it reviews the head that the host keeps under the pull request’s number', async () => {
  const { cloneUrl, baseSha, headSha } = change();
  const { job, run } = jobFor(commented(cloneUrl), {});
  expect(await run()).toMatchObject({ baseSha, headSha, findings: [{ file: 'a.ts', line: 2 }] });
  expect(job.steps.get('find-head')).toBeNull();
});

test('with a token it asks the host for the head, once, and reports on it', async () => {
  const { cloneUrl, baseSha, headSha } = change();
  const path = '/repos/acme/shop/pulls/7';
  const repo = { full_name: 'acme/shop', clone_url: cloneUrl };
  host.faults.push({
    on: (request) => request.path === path,
    answer: {
      status: 200,
      body: {
        number: 7,
        title: 'A change',
        user: { login: 'ada' },
        head: { ref: 'feature', sha: headSha, repo: { full_name: 'ada/shop' } },
        base: { ref: 'main', sha: baseSha, repo },
      },
    },
  });
  const { job, run } = jobFor(commented(cloneUrl), { github: host.access });
  expect(await run()).toMatchObject({ baseSha, headSha, reporting: { reported: true } });
  expect([...job.steps.keys()]).toEqual([
    'find-head',
    'report-pending',
    'fetch-diff',
    'report-result',
  ]);
  expect(host.runs).toMatchObject([{ head_sha: headSha, conclusion: 'failure' }]);
  await run();
  expect(host.requests.filter((request) => request.path === path)).toHaveLength(1);
  // What ends the job later is told about the same commit.
  expect(withHead(commented(cloneUrl), job.steps.get('find-head'))).toMatchObject({
    headSha,
    ref: 'feature',
    pullRequest: { headRepository: 'ada/shop', baseBranch: 'main' },
  });
});

test('a token that may not see the pull request is no reason not to review it', async () => {
  const { cloneUrl, headSha } = change();
  const { run } = jobFor(commented(cloneUrl), { github: host.access });
  expect(await run()).toMatchObject({ headSha });
});
