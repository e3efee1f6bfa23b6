import { describe, expect, test } from 'vitest';

import { interpret } from '../../src/ingress/webhooks/interpret.ts';
import { providerOf } from '../../src/ingress/webhooks/providers.ts';
import {
  expectedFacts,
  factsOf,
  fixtures,
  fixturesNote,
  haveFixtures,
  readFixture,
  vectors,
  type Fixture,
} from './support/fixtures.ts';

const HOSTS = [] as const;

describe.skipIf(!haveFixtures)(`real payloads${fixturesNote}`, () => {
  test.each(fixtures(...HOSTS))('$id gives exactly the expected facts', (fixture) => {
    const read = readAs(fixture);

    expect(read).toMatchObject({ kind: 'read', unmappable: false, fault: null });
    const facts = read.kind === 'read' ? read.facts : [];
    expect(facts).toHaveLength(fixture.expected.length);
    for (const [index, expected] of fixture.expected.entries()) {
      const actual = factsOf({ ...facts[index]!, provider: fixture.host });
      expect(within(actual, fixture)).toEqual(within(expectedFacts(expected), fixture));
      for (const [field, values] of Object.entries(fixture.accept ?? {})) {
        expect([expectedFacts(expected)[field], ...values]).toContain(actual[field]);
      }
    }
  });
});

describe.skipIf(!haveFixtures)(`signature vectors${fixturesNote}`, () => {
  test.each(vectors(...HOSTS))('$host $id verifies, and no other body does', (vector) => {
    const body =
      vector.body_file === undefined
        ? Buffer.from(vector.body ?? '')
        : readFixture(vector.body_file);
    const headers = {
      ...lowerCase(vector.headers ?? {}),
      [vector.header.toLowerCase()]: vector.value,
    };
    const timestamp = Number(headers['webhook-timestamp'] ?? 0);
    const verify = (bytes: Buffer): string =>
      providerOf(vector.host).verify({
        headers,
        body: bytes,
        format: vector.content_type === 'application/x-www-form-urlencoded' ? 'form' : 'json',
        secrets: ['another', vector.secret],
        now: new Date(timestamp * 1000),
      });

    expect(verify(body)).toBe(vector.valid ? 'authentic' : 'not-authentic');
    if (vector.header !== 'Authorization') {
      expect(verify(Buffer.concat([body, Buffer.from(' ')]))).toBe('not-authentic');
    }
  });
});

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function readAs({ host, file, event_header: event, delivery_id_header: id }: Fixture) {
  const headers = {
    ...(event.name !== null && { [event.name.toLowerCase()]: event.value ?? '' }),
    ...(id !== null && { [id.toLowerCase()]: 'd0000000-0000-4000-8000-000000000000' }),
  };
  return interpret(providerOf(host), { headers, body: readFixture(file), format: 'json' });
}

/** Without the fields where hosts are ambiguous and several values will do. */
const within = (facts: Record<string, unknown>, { accept }: Fixture): Record<string, unknown> =>
  Object.fromEntries(Object.entries(facts).filter(([field]) => accept?.[field] === undefined));
