import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeEach, describe, expect, test } from 'vitest';

import type { CodeReviewOptions } from '../../src/workflows/index.ts';
import { folderSize } from '../../src/workflows/code-review/git/folder-size.ts';
import { createCodeReview } from '../../src/workflows/index.ts';
import { serveGit } from './support/git-http-server.ts';
import { GitRepository, temporaryFolder } from './support/git-repository.ts';
import { FakeJob, review, triggerOf } from './support/review.ts';

const folder = temporaryFolder();
const root = join(folder.path, 'served');
const repo = new GitRepository(join(root, 'acme/shop.git'));
const big = randomBytes(3_000_000);
const baseSha = repo.commit({ 'a.ts': '1;\n', 'b.ts': 'eval(1);\n', 'data.bin': big });
repo.branch('feature');
const headSha = repo.commit({ 'a.ts': '1;\ndebugger;\n' });
repo.branch('main', baseSha);
const hiddenSha = repo.commit({ 'a.ts': '1;\n\ndebugger;\n' });
repo.git('update-ref', 'refs/pull/7/head', hiddenSha);
repo.git('reset', '--quiet', '--hard', baseSha);

const server = await serveGit(root, { config: { 'uploadpack.allowFilter': 'true' } });
const plain = await serveGit(root, { isOld: true });
afterAll(async () => {
  await Promise.all([server.close(), plain.close()]);
  folder.remove();
});

let caches = 0;
function options(
  limits: CodeReviewOptions['limits'] = {},
): CodeReviewOptions & { dataDir: string } {
  caches += 1;
  const dataDir = join(folder.path, `data-${String(caches)}`);
  return { dataDir, cloneAllow: [`${server.url}/acme`, `${plain.url}/`], limits };
}

const cloneUrl = `${server.url}/acme/shop.git`;

async function failureOf(change: Parameters<typeof triggerOf>[0], given = options()) {
  const error: unknown = await review(change, given).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error)) throw new Error('It did not fail');
  return error;
}

beforeEach(() => {
  server.instead.answer = undefined;
  (server.requests as string[]).length = 0;
});

describe('over smart HTTP', () => {
  test('fetches the two commits, and no file that did not change', async () => {
    const given = options();
    const found = await review({ cloneUrl, headSha, baseSha }, given);

    expect(found).toMatchObject({ headSha, baseSha, findings: [{ file: 'a.ts', line: 2 }] });
    expect(await folderSize(given.dataDir)).toBeLessThan(1_000_000);
  });

  test('asks the server for nothing that it has already', async () => {
    const given = options();
    await review({ cloneUrl, headSha, baseSha }, given);
    (server.requests as string[]).length = 0;
    await review({ cloneUrl, headSha, baseSha }, given);

    expect(server.requests).toEqual([]);
  });

  test('finds a commit that only the ref of the pull request has', async () => {
    const change = { cloneUrl: `${plain.url}/acme/shop.git`, headSha: hiddenSha, baseSha };
    const found = await review(change, options());

    expect(found).toMatchObject({ headSha: hiddenSha, findings: [{ file: 'a.ts', line: 3 }] });
  });

  test('works with a server that knows no partial clones and no ids', async () => {
    const change = { cloneUrl: `${plain.url}/acme/shop.git`, headSha, baseSha };
    const found = await review(change, options());

    expect(found).toMatchObject({ headSha, findings: [{ file: 'a.ts', line: 2 }] });
  });

  test('finds commits that a server gives only to who asks for a newer one', async () => {
    const moved = new GitRepository(join(root, 'acme/moved.git'));
    const base = moved.commit({ 'a.ts': '1;\n' });
    moved.branch('feature');
    const head = moved.commit({ 'a.ts': '1;\ndebugger;\n' });
    moved.commit({ 'a.ts': '1;\n' });
    moved.branch('main', base);
    moved.commit({ 'b.ts': '1;\n' });
    const change = { cloneUrl: `${plain.url}/acme/moved.git`, headSha: head, baseSha: base };
    const found = await review(change, options());

    expect(found).toMatchObject({ headSha: head, baseSha: base, findings: [{ line: 2 }] });
  });

  test('looks for the head in the fork where the host keeps no ref of the pull request', async () => {
    const fork = new GitRepository(join(root, 'acme/fork.git'));
    fork.git('fetch', '--quiet', repo.path, 'main');
    fork.branch('feature', 'FETCH_HEAD');
    const forkSha = fork.commit({ 'a.ts': '1;\n\n\n\ndebugger;\n' });
    const change = {
      cloneUrl,
      headSha: forkSha.slice(0, 12),
      baseSha: baseSha.slice(0, 12),
      provider: 'bitbucket-cloud',
      headRepository: 'acme/fork',
      ref: 'feature',
    };
    const found = await review(change, options());

    expect(found).toMatchObject({ headSha: forkSha, findings: [{ file: 'a.ts', line: 5 }] });
  });
});

test('sends no credentials and heeds no configuration of the user', async () => {
  const home = join(folder.path, 'home');
  mkdirSync(home);
  writeFileSync(join(home, '.netrc'), 'machine 127.0.0.1 login ada password hunter2\n');
  const insteadOf = `[url "${plain.url}"]\n\tinsteadOf = ${server.url}\n`;
  writeFileSync(join(home, '.gitconfig'), insteadOf);
  const authorizations: unknown[] = [];
  server.instead.answer = ({ headers }, response) => {
    authorizations.push(headers.authorization);
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    return true;
  };
  const given = { ...options(), gitEnvironment: { HOME: home, XDG_CONFIG_HOME: home } };
  await failureOf({ cloneUrl, headSha, baseSha }, given);

  expect(authorizations.length).toBeGreaterThan(0);
  expect(authorizations.every((authorization) => authorization === undefined)).toBe(true);
});

test('says so when there is no git', async () => {
  const given = { ...options(), gitEnvironment: { PATH: folder.path } };
  const error = await failureOf({ cloneUrl, headSha, baseSha }, given);

  expect([error.name, error.message]).toEqual(['Error', expect.stringContaining('install git')]);
});

describe('fails for good, and says why,', () => {
  test('when there is no such repository', async () => {
    const error = await failureOf({ cloneUrl: `${server.url}/acme/none.git`, headSha, baseSha });

    expect(error.name).toBe('NonRetriable');
    expect(error.message).toContain('/acme/none.git does not exist');
  });

  test('when there is no such folder', async () => {
    const given = { ...options(), cloneAllow: [`file://${folder.path}`] };
    const error = await failureOf(
      { cloneUrl: `file://${folder.path}/none`, headSha, baseSha },
      given,
    );

    expect(error.name).toBe('NonRetriable');
    expect(error.message).toContain('/none does not exist');
  });

  test('when the folder is no repository', async () => {
    const given = { ...options(), cloneAllow: [`file://${folder.path}`] };
    const error = await failureOf({ cloneUrl: `file://${root}`, headSha, baseSha }, given);

    expect(error.name).toBe('NonRetriable');
    expect(error.message).toContain('does not exist');
  });

  test('when the repository does not have the commit', async () => {
    const missing = 'f'.repeat(40);
    for (const url of [cloneUrl, `${plain.url}/acme/shop.git`]) {
      const change = { cloneUrl: url, headSha: missing, baseSha, ref: 'gone' };
      const error = await failureOf({ ...change, number: 99 });

      expect(error.name).toBe('NonRetriable');
      expect(error.message).toContain(`does not have commit ${missing}`);
    }
  });

  test.each([
    [401, 'does not exist or is not public'],
    [403, 'does not exist or is not public'],
    [404, 'does not exist'],
    [410, 'does not exist'],
    [418, 'was refused by its host'],
  ])('when the host answers %i', async (status, reason) => {
    server.instead.answer = (_, response) => {
      response.writeHead(status, { 'www-authenticate': 'Basic realm="x"' }).end('no');
      return true;
    };
    const error = await failureOf({ cloneUrl, headSha, baseSha });

    expect([error.name, error.message]).toEqual(['NonRetriable', expect.stringContaining(reason)]);
  });

  test('when the host does not speak git', async () => {
    server.instead.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
      return true;
    };
    const error = await failureOf({ cloneUrl, headSha, baseSha });

    expect([error.name, error.message]).toEqual([
      'NonRetriable',
      expect.stringContaining('is not served by git'),
    ]);
  });

  test('when the host sends it elsewhere, where it never goes', async () => {
    const elsewhere = await serveGit(root);
    server.instead.answer = (request, response) => {
      response.writeHead(302, { location: `${elsewhere.url}${request.url ?? ''}` }).end();
      return true;
    };
    const error = await failureOf({ cloneUrl, headSha, baseSha });
    await elsewhere.close();

    expect([error.name, error.message]).toEqual([
      'NonRetriable',
      expect.stringContaining('redirects are not followed'),
    ]);
    expect(elsewhere.requests).toEqual([]);
  });

  test('when the repository is larger than the bound', async () => {
    const given = options({ repositoryBytes: 1_000_000 });
    const change = { cloneUrl: `${plain.url}/acme/shop.git`, headSha, baseSha };
    repo.branch('large', headSha);
    const largeSha = repo.commit({ 'noise.bin': randomBytes(3_000_000) });
    const error = await failureOf({ ...change, headSha: largeSha, ref: 'large' }, given);

    expect([error.name, error.message]).toEqual([
      'NonRetriable',
      expect.stringContaining('is larger than 1 MiB'),
    ]);
    expect(await folderSize(given.dataDir)).toBeLessThan(1_000_000);
  });
});

describe('is tried again', () => {
  test('when the host refuses connections', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const url = `http://127.0.0.1:${String(port)}`;
    const given = { ...options(), cloneAllow: [url] };
    const error = await failureOf({ cloneUrl: `${url}/a/b.git`, headSha, baseSha }, given);

    expect(error.name).toBe('Error');
    expect(error.message).toMatch(/could not be fetched.*(?:Failed|Couldn't) ?(?:to )?connect/);
  });

  test('when the host has no address', async () => {
    const url = 'http://no-such-host.invalid';
    const given = { ...options(), cloneAllow: [url] };
    const error = await failureOf({ cloneUrl: `${url}/a/b.git`, headSha, baseSha }, given);

    expect(error.name).toBe('Error');
    expect(error.message).toContain('Could not resolve host');
  });

  test.each([500, 502, 503])('when the host answers %i', async (status) => {
    server.instead.answer = (_, response) => {
      response.writeHead(status).end();
      return true;
    };
    const error = await failureOf({ cloneUrl, headSha, baseSha });

    expect(error.name).toBe('Error');
    expect(error.message).toContain(`returned error: ${String(status)}`);
  });

  test('later, when the host limits the rate', async () => {
    server.instead.answer = (_, response) => {
      response.writeHead(429).end();
      return true;
    };
    expect(await failureOf({ cloneUrl, headSha, baseSha })).toMatchObject({
      name: 'RetryAfter',
      delayMs: 60_000,
    });
  });

  test('when the host breaks off', async () => {
    server.instead.answer = (request, response) => {
      if (!request.url?.endsWith('git-upload-pack')) return false;
      response.destroy();
      return true;
    };
    expect((await failureOf({ cloneUrl, headSha, baseSha })).name).toBe('Error');
  });

  test('when the host does not answer in time, and nothing of git is left', async () => {
    server.instead.answer = () => true;
    const given = options({ gitMs: 700 });
    const error = await failureOf({ cloneUrl, headSha, baseSha }, given);

    expect([error.name, error.message]).toEqual([
      'Error',
      expect.stringContaining('took longer than 0.7 seconds'),
    ]);
    await expect.poll(() => processesOf(given.dataDir), { timeout: 5000 }).toEqual([]);
  });
});

test('a job that is cancelled stops git at once', async () => {
  const given = options();
  const job = new FakeJob(triggerOf({ cloneUrl, headSha, baseSha }), async () => null);
  const asked = new Promise<void>((resolve) => {
    server.instead.answer = () => {
      resolve();
      return true;
    };
  });
  const run = job.run(createCodeReview(given));
  await asked;
  job.cancel();

  await expect(run).rejects.toThrow('cancelled');
  await expect.poll(() => processesOf(given.dataDir), { timeout: 5000 }).toEqual([]);
});

/** Git's processes that work for this folder. */
async function processesOf(dataDir: string): Promise<readonly string[]> {
  if (!existsSync('/proc')) return [];
  const { readdir, readFile } = await import('node:fs/promises');
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(
    ids.map((id) => readFile(`/proc/${id}/environ`, 'utf8').catch(() => '')),
  );
  return environments.filter((text) => text.includes(`GIT_DIR=${dataDir}`));
}
