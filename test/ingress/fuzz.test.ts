import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { signedHeaders } from '../../src/cli/signed-headers.ts';
import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import { planJobs } from '../../src/ingress/webhooks/plan-jobs.ts';
import type { BodyFormat, Headers } from '../../src/ingress/webhooks/provider.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';
import { storedHeaders } from '../../src/ingress/webhooks/stored-headers.ts';
import { PROVIDERS, type WebhookSource } from '../../src/platform/webhook-sources.ts';
import { type Fixture, fixtures, fixturesNote, readFixture } from './support/fixtures.ts';
import {
  type TestIngress,
  planned,
  post,
  pullRequestPayload,
  send,
  source,
  startIngress,
} from './support/ingress.ts';

vi.setConfig({ testTimeout: 120_000 });

/** What no answer, log line or stored delivery may show. */
const HOOK_SECRET = 'hush:this-is-the-secret-of-the-hook';

const before = prototypes();

/** What pollution would change. */
function prototypes(): string {
  return JSON.stringify(
    [Object.prototype, Array.prototype, Function.prototype].map((each) =>
      Reflect.ownKeys(each).map(String),
    ),
  );
}

const hostile = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    1.5,
    1e308,
    '',
    '\u0000',
    '\ud800',
    '-x',
    '../..',
    'a\nb',
    'x'.repeat(5000),
    [],
    {},
    [[]],
    'refs/heads/..',
    'refs/heads/x',
    '0'.repeat(40),
    'a'.repeat(40),
    { toString: 'x' },
    { length: 3 },
  ),
);

/** Replaces, removes or adds values at random places of a payload. */
function mutate(payload: unknown, edits: readonly Edit[]): unknown {
  const copy = structuredClone(payload);
  for (const { path, value, drop } of edits) {
    let node: unknown = copy;
    for (const [index, step] of path.entries()) {
      if (typeof node !== 'object' || node === null) break;
      const keys = Object.keys(node);
      const key = keys[step % Math.max(keys.length, 1)];
      if (key === undefined) break;
      const holder = node as Record<string, unknown>;
      if (index === path.length - 1 && drop) delete holder[key];
      else if (index === path.length - 1)
        // Else two edits with the same value could make it hold itself.
        Object.defineProperty(holder, key, {
          value: structuredClone(value),
          enumerable: true,
          configurable: true,
          writable: true,
        });
      node = holder[key];
    }
  }
  return copy;
}

type Edit = Readonly<{ path: readonly number[]; value: unknown; drop: boolean }>;
const anyEdit: fc.Arbitrary<Edit> = fc.record({
  path: fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
  value: hostile,
  drop: fc.boolean(),
});
const anyEdits = fc.array(anyEdit, { minLength: 1, maxLength: 4 });

type ProviderName = WebhookSource['provider'];

const headersOf = ({ event_header: { name, value } }: Fixture): Record<string, string> =>
  name === null ? {} : { [name.toLowerCase()]: value ?? '' };

/** Whether Postgres takes it as JSON and as text, and the log as one event. */
function expectStorable(value: unknown): void {
  const json = JSON.stringify(value);
  expect(json).not.toMatch(/\\u0000|\\ud[89a-f]/i);
  expect(json.length).toBeLessThan(200_000);
}

type Input = Readonly<{ headers: Headers; body: Buffer; format: BodyFormat }>;

const EVENT_HEADERS: Readonly<Record<ProviderName, readonly string[]>> = {
  github: ['x-github-event'],
  gitlab: ['x-gitlab-event'],
  'bitbucket-cloud': ['x-event-key'],
  'bitbucket-dc': ['x-event-key'],
  'azure-repos': [],
  gitea: ['x-gitea-event'],
  forgejo: ['x-forgejo-event', 'x-gitea-event'],
};

/** Names of events, right ones and others, in whatever header the host has for them. */
function anyHeaders(provider: ProviderName): fc.Arbitrary<Headers> {
  const known = fixtures(provider).flatMap((each) => each.event_header.value ?? []);
  const event = fc.oneof(
    fc.constantFrom('push', 'pull_request', 'Push Hook', 'repo:push', 'pr:opened', ...known),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty'),
  );
  const names = fc.constantFrom(...EVENT_HEADERS[provider], 'x-other');
  const ids = fc.constantFrom('x-github-delivery', 'idempotency-key', 'webhook-id', 'x-request-id');
  return fc
    .tuple(names, event, ids, fc.string({ unit: 'binary', maxLength: 300 }), fc.boolean())
    .map(([name, value, id, idValue, withId]) => {
      const given: Record<string, string> = { authorization: HOOK_SECRET, [name]: value };
      if (withId) given[id] = idValue;
      return given;
    });
}

const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? 'null');

/** Real payloads as small as most, once parsed; where there are none, one of our own. */
function payloadsOf(
  provider: ProviderName,
): readonly Readonly<{ headers: Headers; payload: unknown }>[] {
  const real = fixtures(provider)
    .map((each) => ({ headers: headersOf(each), text: readFixture(each.file).toString() }))
    .toSorted((one, other) => one.text.length - other.text.length)
    .slice(0, 8)
    .map(({ headers, text }) => ({ headers, payload: JSON.parse(text) as unknown }));
  const own = { headers: { 'x-github-event': 'pull_request' }, payload: pullRequestPayload() };
  return real.length === 0 ? [own] : real;
}

function anyInput(provider: ProviderName): fc.Arbitrary<Input> {
  const payloads = payloadsOf(provider);
  const headers = anyHeaders(provider);
  const mutated = fc
    .tuple(fc.constantFrom(...payloads), anyEdits)
    .map(([{ headers: given, payload }, edits]) => ({
      headers: given,
      body: bytesOf({ ...(mutate(payload, edits) as object), secret: HOOK_SECRET }),
    }));
  const renamed = fc
    .tuple(fc.constantFrom(...payloads), headers)
    .map(([{ payload }, given]) => ({ headers: given, body: bytesOf(payload) }));
  const json = fc
    .tuple(fc.jsonValue({ maxDepth: 4 }), headers)
    .map(([value, given]) => ({ headers: given, body: bytesOf(value) }));
  const bytes = fc
    .tuple(fc.uint8Array({ maxLength: 200 }), headers)
    .map(([value, given]) => ({ headers: given, body: Buffer.from(value) }));
  const cut = fc
    .tuple(fc.constantFrom(...payloads), fc.nat(5_000), fc.uint8Array({ maxLength: 4 }))
    .map(([{ headers: given, payload }, length, noise]) => ({
      headers: given,
      body: Buffer.concat([bytesOf(payload).subarray(0, length), noise]),
    }));
  const format = fc.constantFrom<BodyFormat>('json', 'json', 'json', 'form');
  return fc
    .tuple(fc.oneof({ arbitrary: mutated, weight: 4 }, renamed, json, bytes, cut), format)
    .map(([{ headers: named, body }, given]) => ({ headers: named, body, format: given }));
}

const anySource = (provider: ProviderName): WebhookSource =>
  source({
    name: provider,
    provider,
    ownAccounts: ['our-bot'],
    filters: { only: { path: ['src/**'] }, except: { label: ['x'], draft: true, author: ['y'] } },
  });

function expectSound(provider: ProviderName, input: Input): void {
  const read = interpret(providerOf(provider), input);
  expectStorable(storedHeaders(input.headers));
  expect(JSON.stringify(storedHeaders(input.headers))).not.toContain(HOOK_SECRET);
  if (read.kind === 'malformed') {
    expect(read.detail).not.toContain(HOOK_SECRET);
    return;
  }
  expect(read.fault).toBeNull();
  expect(read.facts.length).toBeLessThanOrEqual(100);
  const rules = { source: anySource(provider), deliveryId: 'x', localClones: [] };
  const { triggers, reason } = planJobs(read, { ...rules, plan: () => [planned] });
  expectStorable([triggers, reason, read.action, read.event]);
  expect(JSON.stringify([triggers, reason])).not.toContain(HOOK_SECRET);
}

/** Gitea's old versions put the secret there, and only they. Gives whether there was one to take out. */
function expectRedacted(provider: ProviderName, input: Input): boolean {
  if (provider !== 'gitea' && provider !== 'forgejo') return false;
  const read = interpret(providerOf(provider), input);
  if (read.kind === 'malformed') return false;
  const stored = Buffer.from(read.redactedBody ?? input.body);
  expect(stored.toString()).not.toContain(HOOK_SECRET);
  return input.body.includes(HOOK_SECRET);
}

describe.each(PROVIDERS)(`5,000 deliveries of %s${fixturesNote}`, (provider) => {
  test('are read, refused or unmappable, never meet a fault of ours and show no secret', () => {
    let redacted = 0;
    fc.assert(
      fc.property(anyInput(provider), (input) => {
        expectSound(provider, input);
        if (expectRedacted(provider, input)) redacted += 1;
      }),
      { numRuns: 5_000 },
    );
    if (provider === 'gitea' || provider === 'forgejo') expect(redacted).toBeGreaterThan(500);
    expect(prototypes()).toBe(before);
  });
});

test('reading ever new payloads leaves nothing behind', () => {
  const inputs = fc.sample(anyInput('github'), 500);
  const heapAfter = (rounds: number): number => {
    for (let round = 0; round < rounds; round += 1) {
      for (const input of inputs) interpret(providerOf('github'), input);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const first = heapAfter(4);
  const later = heapAfter(12);

  expect((later - first) / first).toBeLessThan(0.1);
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

describe('over a socket', () => {
  let ingress: TestIngress;
  beforeAll(async () => {
    ingress = await startIngress({
      sources: PROVIDERS.map((provider) => ({
        ...anySource(provider),
        secrets: [{ value: HOOK_SECRET, expiresAt: null }],
      })),
      plan: () => [planned],
    });
  });
  afterAll(() => ingress.close());

  test.each(PROVIDERS)(
    'what %s signs is answered with 200, 202, 400, 409 or 415',
    async (provider) => {
      await fc.assert(
        fc.asyncProperty(anyInput(provider), fc.uuid(), async ({ headers, body }, deliveryId) => {
          const { authorization: _, ...naming } = headers;
          const named = Object.values(naming).find((value) => /^[\x21-\x7e ]{1,80}$/.test(value));
          const given = { body, event: named?.trim() ?? 'push', deliveryId };
          const { status } = await send(
            ingress,
            `/webhooks/${provider}`,
            signedHeaders(
              { ...anySource(provider), secrets: [{ value: HOOK_SECRET, expiresAt: null }] },
              given,
            ),
            body,
          );
          expect([200, 202, 400, 409, 415]).toContain(status);
        }),
        { numRuns: 100 },
      );
      expect(prototypes()).toBe(before);
      expect(ingress.log.join('')).not.toMatch(/bug|this-is-the-secret-of-the-hook/);
      const stored = JSON.stringify(
        ingress.recorded.deliveries.map(({ headers, triggers, reason }) => [
          headers,
          triggers,
          reason,
        ]),
      );
      expect(stored).not.toContain('this-is-the-secret-of-the-hook');
    },
  );
});

describe('anything at all', () => {
  let ingress: TestIngress;
  beforeAll(async () => {
    ingress = await startIngress();
  });
  afterAll(() => ingress.close());

  const events = fc.constantFrom(
    'push',
    'create',
    'delete',
    'ping',
    'pull_request',
    'pull_request_review',
    'issue_comment',
    'check_run',
    'check_suite',
    'workflow_run',
    'merge_group',
    'installation',
    'star',
  );
  const bodies = fc.oneof(
    anyEdits.map((edits) => Buffer.from(JSON.stringify(mutate(pullRequestPayload(), edits)))),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .dictionary(
        fc.constantFrom(
          '__proto__',
          'constructor',
          'action',
          'pull_request',
          'repository',
          'ref',
          'before',
          'after',
        ),
        fc.jsonValue(),
      )
      .map((value) => Buffer.from(JSON.stringify(value))),
  );

  test('that is signed is answered with 200, 202 or 400', async () => {
    await fc.assert(
      fc.asyncProperty(events, bodies, async (event, body) => {
        const { status } = await post(ingress, body, { 'x-github-event': event });
        expect([200, 202, 400]).toContain(status);
      }),
      { numRuns: 400 },
    );
    expect(prototypes()).toBe(before);
    expect(ingress.log.join('')).not.toContain('bug');
  });

  test('that is not signed is answered with 401', async () => {
    await fc.assert(
      fc.asyncProperty(
        bodies,
        fc.stringMatching(/^[sha256=0f ,]{0,20}$/),
        async (body, signature) => {
          const { status } = await post(ingress, body, { 'x-hub-signature-256': signature.trim() });
          expect(status).toBe(401);
        },
      ),
      { numRuns: 200 },
    );
  });
});
