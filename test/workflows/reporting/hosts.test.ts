import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Finding } from '../../../src/workflows/code-review/analysis.ts';
import { createReporter } from '../../../src/workflows/code-review/reporting/create-reporter.ts';
import type {
  Change,
  HostReporter,
  Report,
} from '../../../src/workflows/code-review/reporting/host-reporter.ts';
import { serve } from './support/fake-host.ts';
import { FAKE_HOSTS, type FakeHost, HEAD, NUMBER, TOKEN } from './support/fake-hosts.ts';

const finding = (line: number, change: Partial<Finding> = {}): Finding => ({
  file: 'src/a.ts',
  line,
  column: 3,
  rule: 'no-eval',
  severity: 'error',
  message: 'Text is run as code here.',
  ...change,
});

const finished = (findings: readonly Finding[]): Report => ({
  state: 'finished',
  findings,
  findingsLeftOut: 0,
  filesChanged: 3,
  filesLeftOut: 0,
});

const FOUND = finished([finding(4), finding(9, { severity: 'warning' })]);
const FOUND_SUMMARY = '2 findings (1 error) in 3 changed files';
const signal = new AbortController().signal;

describe.each(Object.entries(FAKE_HOSTS))('%s', (title, start) => {
  const provider = title.split(',')[0] ?? '';
  let host: FakeHost;
  let change: Change;
  let reporter: HostReporter;

  beforeEach(async () => {
    host = await start();
    reporter = createReporter(provider, { [provider]: host.access })!;
    change = {
      jobId: 'job-1',
      repository: host.repository,
      pullRequest: NUMBER,
      headSha: HEAD,
      ref: 'feature',
      url: 'https://host.example/pull/7',
    };
  });
  afterEach(() => host.close());

  const report = (given: Report, by: Partial<Change> = {}): Promise<void> =>
    reporter.report({ ...change, ...by }, given, signal);

  const writes = () => host.requests.filter(({ method }) => method !== 'GET');

  test('shows that a review is under way, and then what it found', async () => {
    await report({ state: 'pending' });
    expect(host.shown()).toEqual([`${host.states.pending}: Under review by job job-1`]);
    expect(host.comments).toEqual([]);

    await report(FOUND);
    expect(host.shown()).toEqual([`${host.states.rejected}: ${FOUND_SUMMARY}`]);
    expect(host.comments.map(({ body }) => body)).toEqual([
      expect.stringMatching(
        /^.*jobledger:code-review:7.*\n\n\*\*Code review\*\* of `aaaaaaaaaa`: 2 findings/,
      ),
    ]);
    expect(host.comments[0]?.body).toContain('- `src/a.ts:4` error `no-eval`: Text is run');
  });

  test('sends the token with each request, and only to its own address', async () => {
    await report(FOUND);
    expect(host.requests.length).toBeGreaterThan(2);
    expect(host.requests.every(({ path }) => path !== '!')).toBe(true);
    expect(JSON.stringify(host.requests.map(({ body }) => body as unknown))).not.toContain(TOKEN);
  });

  test('repeats a report without a trace', async () => {
    const given: readonly Report[] = [
      { state: 'pending' },
      { state: 'pending' },
      FOUND,
      FOUND,
      FOUND,
    ];
    for (const each of given) await report(each);
    expect(host.shown()).toEqual([`${host.states.rejected}: ${FOUND_SUMMARY}`]);
    expect(host.comments).toHaveLength(1);
    expect(new Set(host.annotations()).size).toBe(host.annotations().length);
  });

  test('edits its comment when a newer head has nothing to complain of', async () => {
    await report(FOUND);
    await report(finished([]), { jobId: 'job-2', headSha: 'd'.repeat(40) });
    expect(host.comments.map(({ body }) => body)).toEqual([
      expect.stringContaining('of `dddddddddd`: No findings in 3 changed files.'),
    ]);
  });

  test('says nothing in a comment when there is nothing to say', async () => {
    await report(finished([]));
    expect(host.shown()).toEqual([`${host.states.passed}: No findings in 3 changed files`]);
    expect(host.comments).toEqual([]);
  });

  test('passes with findings that are no errors', async () => {
    await report(finished([finding(1, { severity: 'warning' })]));
    expect(host.shown()).toEqual([`${host.states.passed}: 1 finding in 3 changed files`]);
  });

  test('finds its comment behind many others', async () => {
    for (let id = 1; id <= 250; id += 1) host.comments.push({ id, body: `comment ${String(id)}` });
    await report(FOUND);
    for (let id = 252; id <= 400; id += 1) host.comments.push({ id, body: 'later' });
    await report(finished([finding(5)]));
    expect(host.comments.filter(({ body }) => body.includes('jobledger:code-review:7'))).toEqual([
      expect.objectContaining({ id: 251, body: expect.stringContaining('src/a.ts:5') as string }),
    ]);
  });

  test('passes over a comment of somebody else who copied its mark', async () => {
    await report(FOUND);
    const { body = '' } = host.comments[0] ?? {};
    host.comments.splice(0, 1, { id: 1, body, foreign: true });
    await report(finished([finding(5)]));
    expect(host.comments).toEqual([
      { id: 1, body, foreign: true },
      expect.objectContaining({ id: 2, body: expect.stringContaining('src/a.ts:5') as string }),
    ]);
    await report(finished([finding(6)]));
    expect(host.comments).toHaveLength(2);
  });

  test('is neutral about a review that was superseded', async () => {
    await report({ state: 'pending' });
    await report({ state: 'superseded' });
    expect(host.shown()).toEqual([`${host.states.superseded}: A newer review took its place`]);
  });

  test('does not take the status of a newer review of the same commit away', async () => {
    await report({ state: 'pending' });
    await report({ state: 'pending' }, { jobId: 'job-2' });
    await report({ state: 'superseded' });
    expect(host.shown()).toContain(`${host.states.pending}: Under review by job job-2`);

    await report(FOUND, { jobId: 'job-2' });
    await report({ state: 'cancelled' }, { jobId: 'job-2' });
    expect(host.shown()).toContain(`${host.states.rejected}: ${FOUND_SUMMARY}`);
  });

  test('says why there could be no review, in one short line', async () => {
    const reason = `Too large:\n${'x'.repeat(500)}`;
    await report({ state: 'pending' });
    await report({ state: 'failed', reason });
    const [shown = ''] = host.shown();
    expect(shown).toMatch(
      new RegExp(`^${host.states.failed}: Could not be reviewed: Too large: x+…$`),
    );
    expect(shown.length).toBeLessThan(160);
  });

  test('says that a review was cancelled, and not that it passed', async () => {
    await report({ state: 'pending' });
    await report({ state: 'cancelled' });
    expect(host.shown()).toEqual([expect.stringContaining(': The review was cancelled')]);
    expect(host.shown()[0]).not.toContain(`${host.states.passed}:`);
  });

  test('is bounded, however much there is to say', async () => {
    const many = Array.from({ length: 500 }, (_, index) =>
      finding(index + 1, { message: '*'.repeat(5000), file: `src/${'f'.repeat(900)}.ts` }),
    );
    await report(finished(many));
    const { body = '' } = host.comments[0] ?? {};
    expect(body.length).toBeLessThan(32_000);
    expect(body).toMatch(/\n\d+ more: see job `job-1`\.$/);
    expect(host.annotations().length).toBeLessThanOrEqual(100);
  });

  test('lets no finding call people, link, or break out of its line', async () => {
    const message = '@acme/owners see <img src=x> [a](http://evil.example)\n/close\n- `x`';
    await report(finished([finding(1, { message, file: 'a`b\n/approve.ts' })]));
    const body = host.comments[0]?.body ?? '';
    expect(body).not.toMatch(/@acme|\n\/|\n- `x`|[^\\]<img|[^\\]\[a\]/);
    expect(body.split('\n')).toHaveLength(5);
  });

  test('leaves out findings that are none', async () => {
    await report(finished([finding(1), { file: 7 } as unknown as Finding]));
    expect(host.shown()).toEqual([expect.stringContaining('1 finding (1 error)')]);
  });

  test.each([401, 403, 404, 422, 302, 203])(
    'gives up for good when it is answered with %i',
    async (status) => {
      const headers = status === 302 ? { location: 'http://127.0.0.1:1/' } : {};
      const answer = { status, headers, body: { message: 'no way' } };
      host.faults.push(...Array.from({ length: 20 }, () => ({ answer })));
      await expect(report(FOUND)).rejects.toMatchObject({ name: 'HostRefused', status });
      await expect(report(FOUND)).rejects.not.toThrow(TOKEN);
      expect(writes().filter(({ method }) => method === 'DELETE')).toEqual([]);
    },
  );

  test.each([
    [429, { 'retry-after': '17' }, 17_000],
    [403, { 'retry-after': '60' }, 60_000],
    [503, { 'retry-after': '5' }, 5000],
    [429, {}, 60_000],
  ])('comes back later for %i with %o', async (status, headers, delayMs) => {
    host.faults.push({ answer: { status, headers, body: { message: 'slow down' } } });
    await expect(report(FOUND)).rejects.toMatchObject({ name: 'RetryAfter', delayMs });
    expect(host.requests).toHaveLength(1);
    await report(FOUND);
    expect(host.comments).toHaveLength(1);
  });

  test('tries again after an error of the host, wherever it comes', async () => {
    await report(FOUND);
    const needed = host.requests.length;
    const fresh = await start();
    try {
      const other = createReporter(provider, { [provider]: fresh.access })!;
      for (let at = 0; at < needed; at += 1) {
        let seen = 0;
        const on = (): boolean => (seen += 1) > at;
        fresh.faults.push({ on, answer: { status: 500, body: 'oops' } });
        const failure = await other.report(change, FOUND, signal).catch((error: unknown) => error);
        fresh.faults.length = 0;
        if (failure !== undefined) expect(failure).toMatchObject({ name: 'Error' });
      }
      await other.report(change, FOUND, signal);
      expect(fresh.shown()).toEqual(host.shown());
      expect(fresh.comments).toHaveLength(1);
      expect(fresh.annotations()).toEqual(host.annotations());
    } finally {
      await fresh.close();
    }
  });

  test('finds what it wrote when the answer was lost', async () => {
    for (const method of ['POST', 'POST', 'POST', 'PUT', 'PATCH']) {
      host.faults.push({ on: (request) => request.method === method, cut: 'after' });
    }
    const untilDone = async (given: Report): Promise<void> => {
      for (let tries = 1; tries <= 6; tries += 1) {
        const isDone = await report(given).then(
          () => true,
          () => false,
        );
        if (isDone) return;
      }
      throw new Error('It was never done');
    };
    await untilDone({ state: 'pending' });
    await untilDone(FOUND);
    expect(host.shown()).toEqual([`${host.states.rejected}: ${FOUND_SUMMARY}`]);
    expect(host.comments).toHaveLength(1);
    expect(new Set(host.annotations()).size).toBe(host.annotations().length);
  });

  test('says that the host cannot be reached, and may be tried again', async () => {
    host.faults.push({ cut: 'before' });
    await expect(report(FOUND)).rejects.toMatchObject({ name: 'Error' });
    await report(FOUND);
    expect(host.comments).toHaveLength(1);
  });

  test('takes the token to no other address', async () => {
    const other = await serve('', () => true, []);
    try {
      const location = `${other.apiUrl}/stolen`;
      const answer = { status: 307, headers: { location }, body: {} };
      host.faults.push(...Array.from({ length: 20 }, () => ({ answer })));
      await expect(report(FOUND)).rejects.toMatchObject({ name: 'HostRefused', status: 307 });
      expect(other.requests).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test('stops when it is told to', async () => {
    const abort = new AbortController();
    host.faults.push({
      on: () => {
        abort.abort(new Error('the run is over'));
        return false;
      },
    });
    await expect(reporter.report(change, FOUND, abort.signal)).rejects.toThrow('the run is over');
    expect(host.requests.length).toBeLessThanOrEqual(2);
    expect(host.comments).toEqual([]);
  });

  test.each(['../../admin', 'acme/..', 'a/b/c/../d', 'acme', 'a?b=/c#d'])(
    'asks for no other place in the name of the repository "%s"',
    async (repository) => {
      await report(FOUND, { repository }).catch(() => null);
      const other = host.requests.filter(
        ({ path }) => path === '!' || path.includes('/../') || path.includes('/admin/'),
      );
      expect(other).toEqual([]);
      expect(host.shown()).toEqual([]);
    },
  );
});

test('without a token there is no reporter', () => {
  for (const provider of ['github', 'gitlab', 'manual', 'constructor', '__proto__']) {
    expect(createReporter(provider, {})).toBeNull();
  }
});
