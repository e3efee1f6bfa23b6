import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startService, type Service } from '../support/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service.stop();
});

const post = (body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${service.api}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('GraphQL over HTTP', () => {
  test('the audits of graphql-http find no error and no warning', async () => {
    const audits = serverAudits({ url: `${service.api}/graphql`, fetchFn: fetch });
    const results = await Promise.all(audits.map((audit) => audit.fn()));
    expect(results.length).toBeGreaterThan(50);
    const found = results.filter(({ status }) => status === 'error' || status === 'warn');
    expect(found.map(({ name, status }) => `${status}: ${name}`)).toEqual([]);
  });

  test('a simple request from another page is refused: it needs a preflight', async () => {
    const response = await fetch(`${service.api}/graphql?query=%7B__typename%7D`);
    expect(response.status).toBe(400);
  });

  test('the schema is served as text, and is the one that is published', async () => {
    const text = await (await fetch(`${service.api}/graphql/schema`)).text();
    expect(text).toContain('type Query {');
    expect(text).toContain('jobUpdated(id: ID!): Job!');
  });

  test('answers are not to be stored', async () => {
    for (const query of ['{ __typename }', '{ none }']) {
      const response = await post({ query });
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  test('a body over 1 MiB is refused', async () => {
    const response = await post({ query: `{ __typename } #${'x'.repeat(1024 * 1024)}` });
    expect(response.status).toBe(413);
  });

  test.each([
    [
      'cost',
      '{ jobs(first: 100) { nodes { history(first: 100) { nodes { id type } } } } }',
      'COST_LIMIT',
    ],
    ['page', '{ jobs(first: 101) { nodes { id } } }', 'BAD_USER_INPUT'],
    ['page', '{ jobs(first: 0) { nodes { id } } }', 'BAD_USER_INPUT'],
    ['cursor', '{ jobs(after: "nonsense") { nodes { id } } }', 'BAD_USER_INPUT'],
    ['direction', '{ jobs(first: 1, before: "x") { nodes { id } } }', 'BAD_USER_INPUT'],
    [
      'date',
      '{ jobs(filter: { requestedAfter: "yesterday" }) { nodes { id } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['position', '{ events(after: "-1") { nodes { id } } }', 'GRAPHQL_VALIDATION_FAILED'],
  ])('%s is bounded: %s', async (_, query, code) => {
    const { errors } = (await (await post({ query })).json()) as {
      errors?: { extensions: { code: string } }[];
    };
    expect(errors?.[0]?.extensions.code ?? null).toBe(code);
  });

  test('the standard introspection query is served', async () => {
    const { getIntrospectionQuery } = await import('graphql');
    const { data } = (await (await post({ query: getIntrospectionQuery() })).json()) as {
      data: object;
    };
    expect(data).toHaveProperty('__schema');
  });
});
