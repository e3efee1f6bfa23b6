import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Trigger } from '../../src/events/trigger.ts';
import { PersonName } from '../../src/platform/person-name.ts';
import { sql } from '../../src/platform/sql.ts';
import { PrivateEventStore } from '../../src/privacy/private-event-store.ts';
import { PrivateQueryable } from '../../src/privacy/private-queryable.ts';
import { sealTrigger } from '../../src/privacy/seal-names.ts';
import { spellings, withoutNames } from '../../src/privacy/spellings.ts';
import { Vault, WrongPrivacyKey } from '../../src/privacy/vault.ts';
import { type Participant, participant } from '../event-store/postgres-subject.ts';
import { type TestDatabase, createDatabase } from '../support/database.ts';
import { AT, request, trigger } from '../support/jobs.ts';

const SECRET = 'a key of the tests that is long enough';

let database: TestDatabase;
let one: Participant;
let vault: Vault;
beforeAll(async () => {
  database = await createDatabase();
  one = participant(database.url);
  vault = new Vault(one.database, SECRET);
});
afterAll(async () => {
  await one.close();
  await database.drop();
});

/** Another process, which has kept no key. */
const other = (secret = SECRET): Vault => new Vault(one.database, secret);
const SEALED = /^sealed:[\da-f-]{36}:[\w-]+$/;

test('the same name is the same when sealed, however it is written, and says nothing', async () => {
  const sealed = await vault.seal('Jane');
  expect(sealed).toMatch(SEALED);
  expect(await other().seal('Jane')).toBe(sealed);
  const [subject] = (await vault.seal(' JANE ')).match(/^sealed:[^:]+/) ?? [];
  expect(sealed.startsWith(subject ?? '?')).toBe(true);
  expect(await vault.seal('John')).not.toContain(subject);
  expect(await other().open(sealed)).toBe('Jane');
});

test('names are opened wherever they stand in a value, and nothing else is touched', async () => {
  const name = await vault.seal('Jané');
  const at = new Date();
  const bytes = Buffer.from(name);
  const value = {
    name,
    deep: [{ text: `by ${name}!`, n: 1n, at, bytes, none: null }],
    gone: undefined,
  };
  expect(await vault.open(value)).toEqual({
    name: 'Jané',
    deep: [{ text: 'by Jané!', n: 1n, at, bytes, none: null }],
    gone: undefined,
  });
  const plain = { name: 'plain', sealed: 'sealed:not-really' };
  expect(await vault.open(plain)).toBe(plain);
});

test('what nobody has sealed, or somebody has changed, is nothing', async () => {
  const sealed = await vault.seal('changed');
  const flipped = `${sealed.slice(0, -2)}${sealed.at(-2) === 'A' ? 'B' : 'A'}${sealed.slice(-1)}`;
  expect(await vault.open(flipped)).toBeNull();
  expect(await vault.open(`sealed:${randomUUID()}:${'a'.repeat(40)}`)).toBeNull();
});

test('a name that is forgotten is nothing from then on, and a new one when it comes back', async () => {
  const sealed = await vault.seal('leaver');
  expect(await vault.forget('Leaver')).not.toBeNull();
  expect(await vault.open({ sealed, text: `by ${sealed}` })).toEqual({ sealed: null, text: 'by ' });
  expect(await vault.find('leaver')).toBeNull();
  expect(await vault.forget('leaver')).toBeNull();
  const again = await vault.seal('leaver');
  expect(again).not.toBe(sealed);
  expect(await vault.open([sealed, again])).toEqual([null, 'leaver']);
});

test('another PRIVACY_KEY is said to be another, and finds nobody', async () => {
  const sealed = await vault.seal('kept');
  const wrong = other('another key of the tests, as long');
  await expect(wrong.open(sealed)).rejects.toThrow(WrongPrivacyKey);
  await expect(wrong.check()).rejects.toThrow(WrongPrivacyKey);
  await other().check();
  expect(await wrong.find('kept')).toBeNull();
});

test('a trigger has the sender, the comment, and a title with a login in it sealed; once', async () => {
  const given: Trigger = {
    ...trigger,
    sender: 'octocat',
    comment: { text: '/review please', author: 'Reviewer', command: 'review' },
    pullRequest: {
      number: 7,
      title: 'Octocat fixes it',
      url: 'https://git.example/octo/repo/pull/7',
      headRepository: 'octocat/repo',
      baseBranch: 'main',
      baseSha: null,
      labels: ['bug'],
    },
  };
  const sealed = await sealTrigger(vault, given);
  expect(sealed).toMatchObject({
    sender: expect.stringMatching(SEALED) as string,
    comment: {
      text: expect.stringMatching(SEALED) as string,
      author: expect.stringMatching(SEALED) as string,
      command: 'review',
    },
    pullRequest: {
      title: expect.stringMatching(SEALED) as string,
      headRepository: expect.stringMatching(SEALED) as string,
      url: 'https://git.example/octo/repo/pull/7',
      labels: ['bug'],
    },
    repository: trigger.repository,
  });
  expect(JSON.stringify(sealed).toLowerCase()).not.toMatch(/octocat|reviewer|please/);
  expect(await vault.open(sealed)).toEqual(given);
  expect(await sealTrigger(vault, sealed)).toEqual(sealed);
});

test('the log seals on the way in and opens on the way out, who acted too, but for programs and workers', async () => {
  const store = new PrivateEventStore(one.store, vault);
  const streamId = randomUUID();
  const event = { at: AT, id: '' };
  const acted = (type: string, actor: string, data: object = {}) => ({
    ...event,
    id: randomUUID(),
    type,
    data,
    metadata: { actor },
  });
  const result = await store.append({
    streamId,
    expected: 0,
    events: [
      acted('JobRequested', 'alice', request()),
      acted('JobStarted', 'worker-1', { workerId: 'worker-1' }),
      acted('JobCancelled', 'github:octocat'),
      acted('JobRetryRequested', 'cli'),
    ],
  });
  expect(result.status).toBe('appended');
  const stored = await one.store.readStream(streamId);
  expect(stored.map(({ metadata }) => metadata.actor)).toEqual([
    expect.stringMatching(SEALED),
    'worker-1',
    expect.stringMatching(SEALED),
    'cli',
  ]);
  expect(JSON.stringify(stored.map(({ data }) => data))).not.toContain('octocat');
  const opened = await store.readStream(streamId);
  expect(opened.map(({ metadata }) => metadata.actor)).toEqual([
    'alice',
    'worker-1',
    'github:octocat',
    'cli',
  ]);
  expect(opened[0]?.data).toEqual(request());
  await vault.forget('octocat');
  const [requested, , cancelled] = await store.readAll({
    after: (await store.head()) - 4n,
    limit: 4,
  });
  expect(requested?.data).toMatchObject({ trigger: { sender: null } });
  expect(cancelled?.metadata.actor).toBeNull();
});

test('rows come with names open, and are found by name without making a subject of it', async () => {
  const queryable = new PrivateQueryable(one.database, vault);
  const sealed = await vault.seal('found');
  const find = (name: string): Promise<readonly unknown[]> =>
    queryable.query(sql`
      select sender from (values (${sealed}::text)) as row (sender) where sender = ${new PersonName(name)}`);
  expect(await find('found')).toEqual([{ sender: 'found' }]);
  expect(await find('nobody')).toEqual([]);
  expect(await vault.find('nobody')).toBeNull();
  // Where names are not sealed, it is the name.
  expect(await one.database.query(sql`select ${new PersonName('x')}::text as name`)).toEqual([
    { name: 'x' },
  ]);
});

test('a name is looked for as it may be spelt, and cut out of texts', () => {
  expect(spellings('Jane Röe')).toEqual([
    'Jane Röe',
    String.raw`Jane R\u00f6e`,
    'Jane%20R%C3%B6e',
    'Jane+R%C3%B6e',
  ]);
  const value = { sender: 'JANE', title: 'by jane (x)', deep: ['jan', 1, null], none: '' };
  expect(withoutNames(value, ['jane', '(x)'])).toEqual({
    sender: null,
    title: 'by  ',
    deep: ['jan', 1, null],
    none: '',
  });
});
