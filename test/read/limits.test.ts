import { buildSchema, getIntrospectionQuery, parse } from 'graphql';
import { expect, test } from 'vitest';

import { checkLimits, validDocument } from '../../src/read/graphql/limits.ts';

const schema = buildSchema(`
  type Query { node: Node  page(first: Int = 20): [Node!]! }
  type Node { id: ID!  next: Node  page(first: Int, last: Int): [Node!]! }`);

const nested = (depth: number) => `${'{ next '.repeat(depth - 1)}{ id }${' }'.repeat(depth - 1)}`;
const deep = (depth: number) => `{ node ${nested(depth - 1)} }`;

const codes = (query: string, variables?: Record<string, unknown>) =>
  checkLimits({ schema, document: parse(query), variables }).map(
    ({ extensions }) => extensions['code'],
  );

test('twelve levels pass, thirteen do not', () => {
  expect(codes(deep(12))).toEqual([]);
  expect(codes(deep(13))).toEqual(['DEPTH_LIMIT']);
});

test('fragments count where they are spread', () => {
  const query = `{ node { next { ...f } } } fragment f on Node ${nested(11)}`;
  expect(codes(query)).toEqual(['DEPTH_LIMIT']);
});

test('fragments that spread each other are refused by validation, and end no process', () => {
  const text = '{ node { ...a } } fragment a on Node { ...b } fragment b on Node { ...a }';
  expect(validDocument(schema, text)).toMatchObject([
    { message: expect.stringContaining('itself') },
  ]);
});

test('pages multiply, also those from variables and defaults', () => {
  const pages = (first: string) =>
    `query q($n: Int) { page(first: ${first}) { page(first: ${first}) { id next { id } } } }`;
  expect(codes(pages('10'))).toEqual([]);
  expect(codes(pages('100'))).toEqual(['COST_LIMIT']);
  expect(codes(pages('$n'), { n: 100 })).toEqual(['COST_LIMIT']);
  expect(codes('{ page { page(last: 1000) { id } } }')).toEqual(['COST_LIMIT']);
});

test('what has passed once does not pass with other variables', () => {
  const document = parse(
    'query q($n: Int) { page(first: $n) { page(first: $n) { id next { id } } } }',
  );
  const codesWith = (n: number) =>
    checkLimits({ schema, document, variables: { n } }).map(({ extensions }) => extensions['code']);
  expect(codesWith(10)).toEqual([]);
  expect(codesWith(100)).toEqual(['COST_LIMIT']);
  expect(codesWith(10)).toEqual([]);
});

test('a valid document is parsed once, one that is not is refused each time', () => {
  expect(validDocument(schema, deep(2))).toBe(validDocument(schema, deep(2)));
  const other = buildSchema('type Query { page: Int }');
  expect(validDocument(other, deep(2))).toHaveLength(1);
  expect(validDocument(other, deep(2))).toHaveLength(1);
  expect(() => validDocument(schema, '{')).toThrow('Syntax Error');
});

test('introspection is exempt', () => {
  expect(codes(getIntrospectionQuery())).toEqual([]);
});
