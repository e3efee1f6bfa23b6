import {
  GraphQLError,
  GraphQLScalarType,
  Kind,
  type ValueNode,
  valueFromASTUntyped,
} from 'graphql';

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** RFC 3339 with a time zone, given out in UTC. Nest's own scalar takes anything that `new Date` does. */
export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  description: 'RFC 3339; given out in UTC.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => (value instanceof Date ? value.toISOString() : String(value)),
  parseValue: parseDateTime,
  parseLiteral: (node) => parseDateTime(literal(node)),
});

function parseDateTime(value: unknown): Date {
  const date = typeof value === 'string' && RFC_3339.test(value) ? new Date(value) : null;
  if (date === null || Number.isNaN(date.getTime())) {
    throw new GraphQLError('A DateTime is a string such as "2026-11-20T12:00:00Z"');
  }
  return date;
}

const MAX_POSITION = 2n ** 63n - 1n;

/** A place in the log. A decimal string, as JavaScript's numbers end at 2^53. */
export const Position = new GraphQLScalarType<bigint, string>({
  name: 'Position',
  description: 'A place in the event log, as a decimal string.',
  serialize: String,
  parseValue: parsePosition,
  parseLiteral: (node) => parsePosition(literal(node)),
});

function parsePosition(value: unknown): bigint {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== 'string' || !/^\d{1,19}$/.test(text) || BigInt(text) > MAX_POSITION) {
    throw new GraphQLError('A Position is a decimal string such as "42"');
  }
  return BigInt(text);
}

export const JsonScalar = new GraphQLScalarType({
  name: 'JSON',
  description: 'Any JSON value.',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node, variables) => valueFromASTUntyped(node, variables),
});

const literal = (node: ValueNode): unknown =>
  node.kind === Kind.STRING || node.kind === Kind.INT ? node.value : null;
