import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type SelectionSetNode,
  specifiedRules,
  validate,
} from 'graphql';
import { getComplexity, simpleEstimator } from 'graphql-query-complexity';

/** The same for HTTP, WebSocket and SSE. */
const MAX_DEPTH = 12;
const MAX_COST = 10_000;
/** Tokens of one document; the parser stops there. */
export const MAX_TOKENS = 2_000;

type Operation = Readonly<{
  schema: GraphQLSchema;
  document: DocumentNode;
  operationName?: string | null | undefined;
  variables?: Readonly<Record<string, unknown>> | null | undefined;
}>;

/** Everything that is wrong with an operation before it runs: the specification's rules, then our limits. */
export function checkOperation(operation: Operation): readonly GraphQLError[] {
  const errors = validate(operation.schema, operation.document, specifiedRules);
  return errors.length > 0 ? errors : checkLimits(operation);
}

/** Our limits alone, for a server that has checked the specification's rules itself. */
export function checkLimits({
  schema,
  document,
  operationName,
  variables,
}: Operation): readonly GraphQLError[] {
  const depth = depthOf(document);
  if (depth > MAX_DEPTH) {
    return [
      tooMuch(
        'DEPTH_LIMIT',
        `The operation is ${String(depth)} deep, the limit is ${String(MAX_DEPTH)}`,
      ),
    ];
  }
  const cost = costOf({ schema, document, operationName, variables });
  if (cost > MAX_COST) {
    return [
      tooMuch(
        'COST_LIMIT',
        `The operation costs ${String(cost)}, the limit is ${String(MAX_COST)}: ask for smaller pages`,
      ),
    ];
  }
  return [];
}

const tooMuch = (code: string, message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code, http: { status: 400 } } });

/** How deep the fields nest. Introspection is exempt: the standard query is deeper than any limit of use. */
function depthOf(document: DocumentNode): number {
  const fragments = new Map(
    document.definitions
      .filter((node): node is FragmentDefinitionNode => node.kind === Kind.FRAGMENT_DEFINITION)
      .map((node) => [node.name.value, node]),
  );
  const known = new Map<string, number>();
  const ofFragment = (name: string): number => {
    const fragment = fragments.get(name);
    if (!fragment) return 0;
    const depth = known.get(name) ?? ofSelections(fragment.selectionSet);
    known.set(name, depth);
    return depth;
  };
  const ofSelections = (set: SelectionSetNode): number =>
    Math.max(
      0,
      ...set.selections.map((node) => {
        if (node.kind === Kind.FRAGMENT_SPREAD) return ofFragment(node.name.value);
        if (node.kind === Kind.INLINE_FRAGMENT) return ofSelections(node.selectionSet);
        if (node.name.value.startsWith('__')) return 0;
        return 1 + (node.selectionSet ? ofSelections(node.selectionSet) : 0);
      }),
    );
  return Math.max(
    0,
    ...document.definitions.map((node) =>
      node.kind === Kind.OPERATION_DEFINITION ? ofSelections(node.selectionSet) : 0,
    ),
  );
}

/** One for each field, times the rows of each page around it. */
function costOf({ schema, document, operationName, variables }: Operation): number {
  return getComplexity({
    schema,
    query: document,
    ...(operationName ? { operationName } : {}),
    variables: { ...variables },
    estimators: [
      ({ args, childComplexity, field }) => {
        if (field.name.startsWith('__')) return 0;
        const rows = rowsOf(args);
        return rows === null ? undefined : 1 + rows * childComplexity;
      },
      simpleEstimator({ defaultComplexity: 1 }),
    ],
  });
}

/** How many rows a page may have: of a connection, its `first` or `last`. */
function rowsOf(args: Readonly<Record<string, unknown>>): number | null {
  const size = args['last'] ?? args['first'];
  return typeof size === 'number' ? Math.max(size, 1) : null;
}
