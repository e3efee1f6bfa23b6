import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import {
  type GraphQLNamedType,
  type GraphQLOutputType,
  type GraphQLInputType,
  Kind,
  buildSchema,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  parse,
  validate,
} from 'graphql';
import ts from 'typescript';
import { expect, test } from 'vitest';

import { DOCUMENTS } from '../../src/client/documents.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const schema = buildSchema(readFileSync(at('docs/schema.graphql'), 'utf8'));

const source = ts.createSourceFile(
  'types.ts',
  readFileSync(at('src/client/types.ts'), 'utf8'),
  ts.ScriptTarget.Latest,
);

/** By the schema's name: what the client leaves out. `history` has pages, and `events` for it. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = { Job: ['history'] };

/** Of a scalar there is one type in the client, and null is in `Json` already. */
const SCALARS: Readonly<Record<string, string>> = {
  ID: 'string',
  String: 'string',
  Int: 'number',
  Boolean: 'boolean',
  JSON: 'Json',
};

const named = ({ name }: GraphQLNamedType) => SCALARS[name] ?? name;

/** The TypeScript of a GraphQL type, as `types.ts` writes it. */
function textOf(type: GraphQLOutputType | GraphQLInputType): string {
  if (isNonNullType(type)) return bare(type.ofType);
  const text = bare(type);
  return text === 'Json' ? text : `${text} | null`;
}

function bare(type: GraphQLOutputType | GraphQLInputType): string {
  if (isListType(type)) return `readonly ${textOf(type.ofType as GraphQLOutputType)}[]`;
  return named(type as GraphQLNamedType);
}

const withoutSpace = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

/** Each member of a type of `types.ts`, or each of its texts. */
function written(alias: ts.TypeAliasDeclaration): readonly string[] {
  const { type } = alias;
  if (ts.isUnionTypeNode(type)) return type.types.map((one) => one.getText(source).slice(1, -1));
  const [literal] = (type as ts.TypeReferenceNode).typeArguments ?? [];
  if (literal === undefined || !ts.isTypeLiteralNode(literal)) return [];
  return literal.members.map((member) => {
    const { name, questionToken, type: of } = member as ts.PropertySignature;
    const optional = questionToken === undefined ? '' : '?';
    return withoutSpace(`${name.getText(source)}${optional}: ${of?.getText(source) ?? ''}`);
  });
}

function expected(type: GraphQLNamedType): readonly string[] {
  if (isEnumType(type)) return type.getValues().map(({ name }) => name);
  if (isInputObjectType(type)) {
    return Object.values(type.getFields()).map(
      ({ name, type: of }) => `${name}${isNonNullType(of) ? '' : '?'}: ${textOf(of)}`,
    );
  }
  if (!isObjectType(type)) return [];
  return Object.values(type.getFields())
    .filter(({ name }) => LEFT_OUT[type.name]?.includes(name) !== true)
    .map(({ name, type: of }) => `${name}: ${textOf(of)}`);
}

const aliases = source.statements.filter(
  (statement): statement is ts.TypeAliasDeclaration =>
    ts.isTypeAliasDeclaration(statement) &&
    !['Json', 'DateTime', 'Position'].includes(statement.name.text),
);

test.each(aliases.map((alias) => [alias.name.text, alias] as const))(
  'the type %s is the one of the schema',
  (name, alias) => {
    const type = schema.getType(name);
    if (type === undefined) throw new Error(`The schema has no ${name}`);
    expect(written(alias).toSorted()).toEqual(expected(type).toSorted());
  },
);

test.each(Object.entries(DOCUMENTS))('the document %s is one of the schema', (_, document) => {
  expect(validate(schema, parse(document))).toEqual([]);
});

test.each([
  ['job', 'Job', ['history']],
  ['jobUpdated', 'Job', ['history']],
  ['jobEvents', 'JobEvent', []],
] as const)('the document %s asks for every field of %s', (name, type, leftOut) => {
  const [operation] = parse(DOCUMENTS[name]).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`${name} is no operation`);
  const [field] = operation.selectionSet.selections;
  const asked = field?.kind === Kind.FIELD ? (field.selectionSet?.selections ?? []) : [];
  const wanted = Object.keys((schema.getType(type) as { getFields(): object }).getFields());
  expect(asked.map((one) => (one.kind === Kind.FIELD ? one.name.value : '')).toSorted()).toEqual(
    wanted.filter((one) => !(leftOut as readonly string[]).includes(one)).toSorted(),
  );
});

test('a browser can load it: nothing of Node is imported, and `ws` only when there is no WebSocket', () => {
  const folder = at('src/client');
  for (const file of readdirSync(folder)) {
    const imports = readFileSync(`${folder}/${file}`, 'utf8').matchAll(
      /^(?:import|export) .*? from '([^']+)'/gms,
    );
    for (const [, from] of imports) expect(from).toMatch(/^(\.\/|graphql-ws\/client$)/);
  }
});
