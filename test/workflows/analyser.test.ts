import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, describe, expect, test } from 'vitest';

import type { JsonValue } from '../../src/sdk/index.ts';
import { createAnalyser } from '../../src/workflows/code-review/ast-analyser.ts';
import { createCodeReview } from '../../src/workflows/index.ts';
import { serveGit } from './support/git-http-server.ts';
import { GitRepository, temporaryFolder } from './support/git-repository.ts';
import { compileMatcher } from './support/matcher-program.ts';
import { FakeJob, triggerOf } from './support/review.ts';

const folder = temporaryFolder();
const repo = new GitRepository(join(folder.path, 'served/shop.git'));
const baseSha = repo.commit({ 'a.ts': '1;\n' });
repo.branch('feature');
const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n', 'b.js': 'eval(x);\n' });
const blobs = ['a.ts', 'b.js'].map((path) => repo.git('rev-parse', `${headSha}:${path}`));
const server = await serveGit(join(folder.path, 'served'), {
  config: { 'uploadpack.allowFilter': 'true' },
});
const { program, remove } = compileMatcher();
afterAll(async () => {
  await server.close();
  folder.remove();
  remove();
});

const cloneUrl = `${server.url}/shop.git`;
let machines = 0;
/** Another machine has another folder. */
const machine = (): { dataDir: string; cloneAllow: readonly string[] } => {
  machines += 1;
  return {
    dataDir: join(folder.path, `machine-${String(machines)}`),
    cloneAllow: [`${server.url}/`],
  };
};

const signal = new AbortController().signal;
const request = {
  jobId: 'job-1',
  waitId: 'wait-1',
  cloneUrl,
  headSha,
  baseSha,
  headRefs: ['refs/heads/feature'],
  files: [
    { path: 'a.ts', blob: blobs[0], added: [[2, 2]] },
    { path: 'b.js', blob: blobs[1], added: [[1, 1]] },
  ],
};

describe('the analyser', () => {
  test('fetches what it needs by itself, in a machine of its own', async () => {
    const answer = await createAnalyser({ ...machine(), matcherProgram: program })(request, signal);

    expect(answer).toMatchObject({
      findings: [
        { file: 'a.ts', line: 2, column: 1, rule: 'no-debugger', severity: 'error' },
        { file: 'b.js', line: 1, column: 1, rule: 'no-eval', severity: 'error' },
      ],
      findingsLeftOut: 0,
      skipped: [],
    });
  });

  test('gives the same answer to the same request', async () => {
    const analyse = createAnalyser(machine());
    expect(await analyse(request, signal)).toEqual(await analyse(request, signal));
  });

  test('says of a file that is gone or too large that it did not read it', async () => {
    const analyse = createAnalyser({ ...machine(), limits: { fileBytes: 10 } });
    const answer = await analyse(request, signal);

    expect(answer).toMatchObject({
      findings: [{ file: 'b.js' }],
      skipped: [{ file: 'a.ts', reason: 'it is larger than 10 bytes' }],
    });
  });

  test('never fetches what is not allowed, whoever asks', async () => {
    const analyse = createAnalyser({ ...machine(), cloneAllow: ['https://github.com/'] });
    expect(await analyse(request, signal)).toEqual({
      error: { permanent: true, message: expect.stringContaining('CLONE_ALLOW') as string },
    });
    const evil = { ...request, cloneUrl: 'https://github.com/a/b', forkUrl: cloneUrl };
    expect(await analyse(evil, signal)).toMatchObject({ error: { permanent: true } });
  });

  test('says whether it is worth asking again', async () => {
    const none = { ...request, cloneUrl: `${server.url}/none.git` };
    expect(await createAnalyser(machine())(none, signal)).toMatchObject({
      error: { permanent: true, message: expect.stringContaining('does not exist') as string },
    });
    server.instead.answer = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    const answer = await createAnalyser(machine())(request, signal);
    server.instead.answer = undefined;
    expect(answer).toMatchObject({ error: { permanent: false } });
  });

  test('says that the rules cannot be used', async () => {
    const analyse = createAnalyser({ ...machine(), rulesDirectory: folder.path });
    expect(await analyse(request, signal)).toMatchObject({
      error: { permanent: true, message: expect.stringContaining('There are no rules') as string },
    });
  });

  test('throws when it is told to stop', async () => {
    const stop = AbortSignal.abort(new Error('draining'));
    await expect(createAnalyser(machine())(request, stop)).rejects.toThrow('draining');
  });

  const file = request.files[0];
  test.each([
    null,
    'text',
    {},
    { ...request, cloneUrl: 7 },
    { ...request, headSha: 'HEAD' },
    { ...request, headSha: headSha.slice(0, 12) },
    { ...request, headRefs: ['--upload-pack=x'] },
    { ...request, headRefs: ['refs/heads/*'] },
    { ...request, files: 'a.ts' },
    { ...request, files: [{ ...file, blob: '--batch' }] },
    { ...request, files: [{ ...file, blob: `${'a'.repeat(40)}\n` }] },
    { ...request, files: [{ ...file, added: [[0, 1]] }] },
    { ...request, files: [{ ...file, added: [[1, 2, 3]] }] },
  ])('refuses a request that is wrong: %j', async (wrong) => {
    const answer = await createAnalyser(machine())(wrong, signal);
    expect(answer).toMatchObject({ error: { permanent: true } });
    expect(JSON.stringify(answer)).toContain('request for an analysis is wrong');
  });
});

describe('a review whose answer', () => {
  const findings = [
    { file: 'a.ts', line: 2, column: 1, rule: 'r', severity: 'error', message: 'm' },
  ];
  const good = { findings, findingsLeftOut: 0, skipped: [] };

  function jobThatHears(...answers: (JsonValue | null)[]): FakeJob {
    return new FakeJob(
      triggerOf({ cloneUrl, headSha, baseSha }),
      async () => answers.shift() ?? null,
    );
  }

  test('does not come fails the attempt, and the next attempt asks again', async () => {
    const workflow = createCodeReview(machine());
    const job = jobThatHears(null, null, good);

    await expect(job.run(workflow)).rejects.toThrow('No analyser answered within 300 seconds');
    await expect(job.run(workflow)).rejects.toThrow('No analyser answered within 300 seconds');
    expect((await job.run(workflow)).findings).toEqual(findings);
    expect(job.requests).toHaveLength(3);
    // A worker that dies at the end runs it again: nothing is asked anew.
    expect((await job.run(workflow)).findings).toEqual(findings);
    expect(job.requests).toHaveLength(3);
  });

  test('is an error that may pass fails one attempt', async () => {
    const workflow = createCodeReview(machine());
    const job = jobThatHears({ error: { message: 'busy', permanent: false } }, good);

    await expect(job.run(workflow)).rejects.toMatchObject({ name: 'Error', message: 'busy' });
    expect((await job.run(workflow)).findings).toEqual(findings);
  });

  test.each([{ error: { message: 'broken', permanent: true } }, { error: 'broken' }])(
    'is an error for good fails the job: %j',
    async (answer) => {
      await expect(jobThatHears(answer).run(createCodeReview(machine()))).rejects.toMatchObject({
        name: 'NonRetriable',
        message: 'broken',
      });
    },
  );

  test.each(['text', {}, [], { findings: 'none' }])(
    'is nonsense fails one attempt: %j',
    async (answer) => {
      const workflow = createCodeReview(machine());
      const job = jobThatHears(answer, good);
      await expect(job.run(workflow)).rejects.toThrow('has no findings in it');
      expect((await job.run(workflow)).findings).toEqual(findings);
    },
  );

  test('is asked for with all that the analyser needs, under the id of the job', async () => {
    const job = jobThatHears(good);
    await job.run(createCodeReview(machine()));

    expect(job.requests).toMatchObject([
      {
        event: 'ast.completed',
        key: 'job-1',
        timeoutMs: 300_000,
        request: {
          topic: 'ast',
          body: { cloneUrl, headSha, baseSha, files: request.files },
        },
      },
    ]);
  });

  test('is not needed is not asked for', async () => {
    const job = new FakeJob(triggerOf({ cloneUrl, headSha, baseSha: headSha }), async () => good);
    expect((await job.run(createCodeReview(machine()))).findings).toEqual([]);
    expect(job.requests).toEqual([]);
  });
});

test('a file:// URL needs a prefix of its own', async () => {
  const local = { ...request, cloneUrl: pathToFileURL(repo.path).href };
  expect(await createAnalyser(machine())(local, signal)).toMatchObject({
    error: { permanent: true },
  });
});
