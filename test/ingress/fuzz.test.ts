import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';
import {
  type Fixture,
  fixtures,
  fixturesNote,
  haveFixtures,
  readFixture,
} from './support/fixtures.ts';
import { type TestIngress, post, pullRequestPayload, startIngress } from './support/ingress.ts';

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
        Object.defineProperty(holder, key, {
          value,
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

const headersOf = ({ event_header: { name, value } }: Fixture): Record<string, string> =>
  name === null ? {} : { [name.toLowerCase()]: value ?? '' };

/** Whether Postgres takes it as JSON and as text, and the log as one event. */
function expectStorable(value: unknown): void {
  const json = JSON.stringify(value);
  expect(json).not.toMatch(/\\u0000|\\ud[89a-f]/i);
  expect(json.length).toBeLessThan(200_000);
}

describe.skipIf(!haveFixtures)(`payloads that are almost real${fixturesNote}`, () => {
  const all = fixtures();
  const payloads = new Map(
    all.map(({ file }) => [file, JSON.parse(readFixture(file).toString()) as unknown]),
  );

  test('are read, refused or unmappable, and never meet a fault of ours', () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), anyEdits, (fixture, edits) => {
        const body = Buffer.from(JSON.stringify(mutate(payloads.get(fixture.file), edits)));
        const read = interpret(providerOf(fixture.host), {
          headers: headersOf(fixture),
          body,
          format: 'json',
        });
        if (read.kind === 'malformed') return;
        expect(read.fault).toBeNull();
        expectStorable(read.facts);
        expectStorable(read.withheld);
      }),
      { numRuns: 3000 },
    );
    expect(prototypes()).toBe(before);
  });
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
