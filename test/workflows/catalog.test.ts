import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import type { Trigger } from '../../src/sdk/index.ts';
import { codeReview, createCodeReview, loadWorkflows } from '../../src/workflows/index.ts';
import { temporaryFolder } from './support/git-repository.ts';
import { triggerOf } from './support/review.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

let modules = 0;
function moduleOf(text: string, extension = 'mjs'): string {
  modules += 1;
  const path = join(folder.path, `module-${String(modules)}.${extension}`);
  writeFileSync(path, text);
  return path;
}

const opened = triggerOf({ cloneUrl: 'https://github.com/acme/shop.git', headSha: 'a'.repeat(40) });
const pushed: Trigger = { ...opened, event: 'push', action: 'pushed', pullRequest: null };

describe('the built-in catalog', () => {
  test.each(['opened', 'synchronize', 'reopened'])(
    'reviews a pull request that is %s',
    async (action) => {
      const { plan } = await loadWorkflows(null);
      expect(plan({ ...opened, action })).toEqual([
        {
          workflow: 'code-review',
          priority: 5,
          concurrency: { key: 'github acme/shop 7', strategy: 'supersede' },
          retry: { maxAttempts: 5, firstDelayMs: 1000, maxDelayMs: 300_000 },
        },
      ]);
    },
  );

  test('reviews what Bitbucket Cloud says was updated, and no other host', async () => {
    const { plan } = await loadWorkflows(null);
    const updated = { ...opened, action: 'updated' };
    expect(plan({ ...updated, provider: 'bitbucket-cloud' })).toHaveLength(1);
    expect(plan({ ...updated, provider: 'gitlab' })).toEqual([]);
  });

  test.each(['closed', 'merged', 'labeled', 'edited'])(
    'leaves one that is %s alone',
    async (action) => {
      const { plan } = await loadWorkflows(null);
      expect(plan({ ...opened, action })).toEqual([]);
      expect(plan(pushed)).toEqual([]);
    },
  );

  test('plans a job of a name for any trigger', async () => {
    const { planOf } = await loadWorkflows(null);
    expect(planOf('code-review', pushed)).toMatchObject({ concurrency: null });
    expect(planOf('none', pushed)).toBeNull();
  });

  test('keeps the pull requests of two sources, repositories and numbers apart', async () => {
    const { plan } = await loadWorkflows(null);
    const repository = { fullName: 'acme/other', url: null, cloneUrl: null };
    const others = [
      opened,
      { ...opened, source: 'other' },
      { ...opened, repository },
      triggerOf({ cloneUrl: 'x', headSha: 'y', number: 8 }),
    ];
    const keys = others.map((trigger) => plan(trigger)[0]?.concurrency?.key);
    expect(new Set(keys).size).toBe(4);
  });

  test('refuses a wrong CLONE_ALLOW at the start', async () => {
    await expect(loadWorkflows(null, { cloneAllow: ['github.com'] })).rejects.toThrow(
      'CLONE_ALLOW',
    );
  });
});

describe("a user's module", () => {
  test('replaces the built-in workflows, in the order of its names', async () => {
    const path = moduleOf(`
      export const second = { name: 'b', on: [{ event: 'push' }], run: async () => 2 };
      export const first = { name: 'a', on: [{ event: 'push', repository: ['acme/shop'] }], priority: 9,
        concurrency: { key: (trigger) => trigger.ref, strategy: 'queue' }, retry: { maxAttempts: 2 }, run: async () => 1 };
      export const nightly = { name: 'c', run: async () => 3 };
      export const help = () => 1;
      export const VERSION = '1';
    `);
    const { workflows, plan, planOf } = await loadWorkflows(path);

    expect([...workflows.keys()].toSorted()).toEqual(['a', 'b', 'c']);
    expect(plan(opened)).toEqual([]);
    expect(plan(pushed)).toMatchObject([
      {
        workflow: 'a',
        priority: 9,
        concurrency: { key: 'feature', strategy: 'queue' },
        retry: { maxAttempts: 2, firstDelayMs: 1000 },
      },
      { workflow: 'b', priority: 5, concurrency: null },
    ]);
    expect(planOf('c', pushed)).toMatchObject({ workflow: 'c' });
  });

  test('may export a workflow as its default, and the same one twice', async () => {
    const path = moduleOf(
      `export const a = { name: 'a', on: [], run: async () => 1 }; export default a;`,
    );
    expect([...(await loadWorkflows(path)).workflows.keys()]).toEqual(['a']);
  });

  test('may be CommonJS', async () => {
    const path = moduleOf(`exports.a = { name: 'a', run: async () => 1 };`, 'cjs');
    expect([...(await loadWorkflows(path)).workflows.keys()]).toEqual(['a']);
  });

  test("may export code-review again, which then has this process's options", async () => {
    const path = moduleOf(`
      const workflow = { name: 'code-review', on: [], priority: 1, concurrency: null, retry: {}, run: async () => 'old' };
      Object.defineProperty(workflow, Symbol.for('jobledger.code-review'), { value: true });
      export { workflow as codeReview };
    `);
    const { plan } = await loadWorkflows(path);
    expect(plan(opened)).toMatchObject([{ workflow: 'code-review', priority: 5 }]);
    expect(Symbol.for('jobledger.code-review') in codeReview).toBe(true);
    expect(Symbol.for('jobledger.code-review') in createCodeReview()).toBe(true);
  });

  test('loses no job when it cannot say its concurrency key', async () => {
    const path = moduleOf(`
      export const a = { name: 'a', on: [{}], concurrency: { key: (t) => t.nothing.at.all, strategy: 'queue' }, run: async () => 1 };
      export const b = { name: 'b', on: [{}], concurrency: { key: () => 7, strategy: 'queue' }, run: async () => 1 };
    `);
    const warnings: string[] = [];
    const { plan } = await loadWorkflows(path, { warn: (message) => warnings.push(message) });

    expect(plan(opened).map(({ concurrency }) => concurrency)).toEqual([null, null]);
    expect(warnings).toEqual([
      expect.stringContaining('Workflow "a": concurrency.key threw TypeError'),
      expect.stringContaining('Workflow "b": concurrency.key must give'),
    ]);
  });

  test('plans what the definition says of lines, rates and times', async () => {
    const path = moduleOf(`
      export const a = { name: 'a', on: [{}], run: async () => 1,
        concurrency: { key: (t) => t.ref, strategy: 'limit', limit: 3, colour: 'red' },
        rateLimit: { limit: 10, perMs: 60_000 } };
      export const b = { name: 'b', on: [{}], run: async () => 1,
        concurrency: { key: (t) => t.ref, strategy: 'debounce', quietMs: 5, maxWaitMs: 50 },
        rateLimit: { limit: 1, perMs: 1, key: () => null },
        schedules: [{ cron: '30 2 * * 1-5', timeZone: 'Europe/Berlin', input: { all: true } }, { cron: '0 0 1 * *', name: 'monthly' }] };
    `);
    const { plan, schedules } = await loadWorkflows(path);
    expect(plan(pushed)).toMatchObject([
      {
        concurrency: { key: 'feature', strategy: 'limit', limit: 3 },
        rateLimit: { key: 'a', limit: 10, perMs: 60_000 },
      },
      { concurrency: { key: 'feature', strategy: 'debounce', quietMs: 5, maxWaitMs: 50 } },
    ]);
    expect(plan(pushed)[0]?.concurrency).not.toHaveProperty('colour');
    expect(plan(pushed)[1]).not.toHaveProperty('rateLimit');
    expect(schedules).toMatchObject([
      {
        workflow: 'b',
        name: '30 2 * * 1-5',
        timeZone: 'Europe/Berlin',
        job: {
          workflow: 'b',
          input: { all: true },
          concurrency: null,
          trigger: { provider: 'manual', source: 'schedule', action: 'scheduled' },
        },
      },
      { name: 'monthly', cron: '0 0 1 * *', timeZone: 'UTC', job: { input: null } },
    ]);
  });

  const workflow = (fields: string): string =>
    `export const a = { name: 'a', run: async () => 1, ${fields} };`;

  test.each([
    [workflow("name: 'Not A Name'"), 'export "a": Workflow "Not A Name": a name is 1 to 100'],
    [workflow('name: 7'), 'export "a": its name is not a text'],
    [workflow("on: { event: 'push' }"), 'export "a": on is not a list of matchers'],
    [workflow('on: ["push"]'), 'export "a": on is not a list of matchers'],
    [workflow('priority: 10'), 'priority is a whole number from 0 to 9'],
    [workflow("concurrency: { key: 'x', strategy: 'queue' }"), 'concurrency.key is not a function'],
    [
      workflow("concurrency: { key: () => 'x', strategy: 'later' }"),
      'concurrency.strategy is supersede, queue, limit, debounce',
    ],
    [
      workflow("schedules: [{ cron: '* * * *' }]"),
      'the schedule "* * * *" in UTC needs five fields',
    ],
    [workflow("schedules: [{ cron: '0 0 30 2 *' }]"), 'never comes'],
    [workflow("schedules: [{ cron: '0 61 * * *' }]"), 'cannot be followed'],
    [
      workflow("schedules: [{ cron: '0 0 * * *', timeZone: 'Mars/Olympus' }]"),
      'in Mars/Olympus cannot be followed',
    ],
    [
      `${workflow('')} export const b = { ...a };`,
      'exports two workflows with the name "a": rename',
    ],
    ['export const help = () => 1;', 'exports no workflow, only help. Write for example'],
    ['', 'exports no workflow. Write for example'],
    ['export const = 1', 'could not be imported: '],
    ['throw new Error("no database")', 'could not be imported: no database'],
    ["import 'not-installed';", 'could not be imported: '],
  ])('is refused with the reason: %s', async (text, reason) => {
    const path = moduleOf(text);
    await expect(loadWorkflows(path)).rejects.toThrow(reason);
    await expect(loadWorkflows(path)).rejects.toThrow(path);
  });

  test('must be there, and be JavaScript', async () => {
    await expect(loadWorkflows('none.mjs')).rejects.toThrow(
      'WORKFLOWS names none.mjs, and there is no',
    );
    await expect(loadWorkflows(folder.path)).rejects.toThrow('there is no file');
    await expect(loadWorkflows(moduleOf('', 'ts'))).rejects.toThrow('which Node cannot import');
  });
});
