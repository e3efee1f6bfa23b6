import { join } from 'node:path';

import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';

import type { Trigger } from '../../../src/events/trigger.ts';
import { readConfig } from '../../../src/platform/config.ts';
import { reportEnds } from '../../../src/processes/report-ends.ts';
import { catalogOf } from '../../../src/processes/run-role.ts';
import { createCodeReview } from '../../../src/workflows/index.ts';
import { eventually } from '../../support/eventually.ts';
import { engine, silent } from '../../workers/engine.ts';
import { GitRepository, temporaryFolder } from '../support/git-repository.ts';
import { serveGit } from '../support/git-http-server.ts';
import { triggerOf } from '../support/review.ts';
import { type FakeHost, fakeGithub } from './support/fake-hosts.ts';

const folder = temporaryFolder();
const git = await serveGit(folder.path);
const repo = new GitRepository(join(folder.path, 'shop'));
const baseSha = repo.commit({ 'a.ts': '1;\n' });
repo.branch('feature');
const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
afterAll(async () => {
  await git.close();
  folder.remove();
});

let host: Awaited<ReturnType<typeof fakeGithub>>;
let jobs: ReturnType<typeof engine>;
let stop: () => Promise<void>;
beforeEach(async () => {
  host = await fakeGithub();
  jobs = engine();
  stop = watch(host);
});
afterEach(async () => {
  await stop();
  await host.close();
});

function watch({ access }: FakeHost): () => Promise<void> {
  const abort = new AbortController();
  const { store, hints } = jobs;
  const config = { ...readConfig({}), reporting: { github: access } };
  const running = reportEnds({ config, store, hints, logger: silent }, abort.signal);
  return async () => {
    abort.abort();
    await running;
  };
}

// The SDK's trigger has texts where the log's has unions.
const trigger = triggerOf({ cloneUrl: `${git.url}/shop/.git`, baseSha, headSha }) as Trigger;

/** A review that waits for its analysis, so that no worker holds it. */
async function pausedReview(): Promise<string> {
  const jobId = await jobs.request({ workflow: 'code-review', trigger });
  const review = createCodeReview({
    dataDir: join(folder.path, 'data'),
    cloneAllow: [`${git.url}/`],
    reporting: { github: host.access },
  });
  expect(await jobs.run(jobId, review)).toBe('paused');
  expect(host.shown()).toContain(`in_progress: Under review by job ${jobId}`);
  return jobId;
}

const at = new Date();

test('a review that is superseded while it waits is shown as neutral', async () => {
  const jobId = await pausedReview();
  await jobs.execute(jobId, { type: 'SupersedeJob', at, data: { by: 'newer' } });
  await eventually(() => expect(host.shown()).toEqual(['neutral: A newer review took its place']));
});

test('a newer review of the same commit is not touched by the end of the older one', async () => {
  const older = await pausedReview();
  const newer = await pausedReview();
  await jobs.execute(older, { type: 'SupersedeJob', at, data: { by: newer } });
  await eventually(() =>
    expect(host.shown()).toEqual([
      'neutral: A newer review took its place',
      `in_progress: Under review by job ${newer}`,
    ]),
  );
});

test('a review that is cancelled while it waits is shown as cancelled', async () => {
  const jobId = await pausedReview();
  await jobs.execute(jobId, { type: 'CancelJob', at, data: { reason: null } });
  await eventually(() => expect(host.shown()).toEqual(['cancelled: The review was cancelled']));
});

test('the workflows of a process report with the tokens of its configuration', async () => {
  const config = {
    ...readConfig({}),
    dataDir: join(folder.path, 'data'),
    cloneAllow: [`${git.url}/`],
    reporting: { github: host.access },
  };
  const { workflows } = await catalogOf({ config, logger: silent });
  const jobId = await jobs.request({ workflow: 'code-review', trigger });
  await jobs.run(jobId, workflows.get('code-review')!);
  expect(host.shown()).toEqual([`in_progress: Under review by job ${jobId}`]);
});

test('a review that fails is shown as failed, with the reason', async () => {
  const jobId = await jobs.request({ workflow: 'code-review', trigger });
  const review = createCodeReview({
    dataDir: join(folder.path, 'data'),
    cloneAllow: [],
    reporting: { github: host.access },
  });
  expect(await jobs.run(jobId, review)).toBe('failed');
  await eventually(() =>
    expect(host.shown()).toEqual([
      expect.stringMatching(/^failure: Could not be reviewed: Repository .* is not allowed/),
    ]),
  );
});

test('the end of another workflow is told to nobody, and a host that is down holds up no other end', async () => {
  const first = await pausedReview();
  const other = await jobs.request({ workflow: 'deploy', trigger });
  const second = await pausedReview();
  const { length } = host.requests;
  host.faults.push({ answer: { status: 500 } });
  await jobs.execute(other, { type: 'CancelJob', at, data: { reason: null } });
  await jobs.execute(first, { type: 'CancelJob', at, data: { reason: null } });
  await jobs.execute(second, { type: 'CancelJob', at, data: { reason: null } });
  await eventually(() =>
    expect(host.shown()).toEqual([
      `in_progress: Under review by job ${first}`,
      'cancelled: The review was cancelled',
    ]),
  );
  expect(host.requests.length - length).toBe(3);
});
