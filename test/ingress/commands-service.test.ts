import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { eventually } from '../support/eventually.ts';
import { SECRET, type Service, startService } from '../support/service.ts';
import { deliver } from '../support/webhooks.ts';

const PATIENCE_MS = 120_000;
let service: Service;
let folder: string;

const WORKFLOWS = `
const common = { priority: 5, retry: { maxAttempts: 1, firstDelayMs: 1, maxDelayMs: 1 }, concurrency: null };
export const waits = { ...common, name: 'waits', on: [{ event: 'pull_request' }, { event: 'pull_request_comment', command: 'review' }],
  async run({ job, waitForEvent }) {
    const { source, repository, pullRequest } = job.trigger;
    const signal = await waitForEvent('command.ship', { key: [source, repository.fullName, pullRequest.number].join(' ') });
    return signal.payload.author;
  } };
`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jobledger-commands-'));
  const path = join(folder, 'workflows.mjs');
  await writeFile(path, WORKFLOWS);
  service = await startService({ env: { WORKFLOWS: path } });
}, PATIENCE_MS);
afterAll(async () => {
  await service.stop();
  await rm(folder, { recursive: true, force: true });
});

const repository = {
  full_name: 'octo/repo',
  html_url: 'https://github.com/octo/repo',
  clone_url: 'https://github.com/octo/repo.git',
};

const opened = (number: number) => ({
  action: 'opened',
  number,
  pull_request: {
    number,
    title: `Change ${String(number)}`,
    head: { ref: 'feature', sha: 'a'.repeat(40), repo: { full_name: 'octo/repo' } },
    base: { ref: 'main', sha: 'b'.repeat(40) },
  },
  repository,
  sender: { login: 'ada' },
});

const commented = (number: number, body: string, association = 'MEMBER') => ({
  action: 'created',
  issue: { number, title: 'A change', pull_request: {} },
  comment: { id: Math.random(), body, user: { login: 'ada' }, author_association: association },
  repository,
  sender: { login: 'ada' },
});

type Answer = { jobs: { id: string }[]; reason?: string };
async function send(event: string, payload: object): Promise<Answer> {
  const response = await deliver(service.ingress, payload, { secret: SECRET, event });
  expect(response.ok).toBe(true);
  return (await response.json()) as Answer;
}

const jobOf = async (id: string) =>
  (
    await service.query<{
      job: { status: string; result: unknown; trigger: { comment: { command: string } | null } };
    }>(`{ job(id: "${id}") { status result trigger { comment { command } } } }`)
  ).job;

test(
  'a command starts the workflow that asks for it, wakes who waits for it, and /cancel ends what is open',
  async () => {
    const first = (await send('pull_request', opened(7))).jobs[0]?.id ?? '';
    const second = (await send('issue_comment', commented(7, '/review'))).jobs[0]?.id ?? '';
    const other = (await send('pull_request', opened(8))).jobs[0]?.id ?? '';
    expect(new Set([first, second, other, '']).size).toBe(4);
    expect((await jobOf(second)).trigger.comment).toEqual({ command: 'review' });
    expect((await send('issue_comment', commented(7, '/review', 'NONE'))).jobs).toEqual([]);
    expect((await send('issue_comment', commented(7, 'nice'))).jobs).toEqual([]);
    await eventually(async () => {
      for (const id of [first, second, other])
        expect(await jobOf(id)).toMatchObject({ status: 'PAUSED' });
    });

    await send('issue_comment', commented(8, '/ship it'));
    await eventually(async () => {
      expect(await jobOf(other)).toMatchObject({ status: 'COMPLETED', result: 'ada' });
    });

    await send('issue_comment', commented(7, '/cancel', 'CONTRIBUTOR'));
    expect(await send('issue_comment', commented(7, '/cancel'))).toMatchObject({
      jobs: [],
      reason: 'The command /cancel ends the open jobs of pull request 7',
    });
    await eventually(async () => {
      for (const id of [first, second])
        expect(await jobOf(id)).toMatchObject({ status: 'CANCELLED' });
    });
  },
  PATIENCE_MS,
);
