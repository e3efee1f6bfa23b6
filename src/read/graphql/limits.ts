import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type SelectionSetNode,
  parse,
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

/** Documents that are valid, by their text: thousands of subscribers send the same few. */
const validDocuments = new WeakMap<GraphQLSchema, Map<string, DocumentNode>>();
const MOST_DOCUMENTS = 200;
const MOST_TEXT = 10_000;

/** The document of a text that follows the specification's rules; throws, or gives the errors, of another one. */
export function validDocument(
  schema: GraphQLSchema,
  text: string,
): DocumentNode | readonly GraphQLError[] {
  const known = validDocuments.get(schema) ?? new Map<string, DocumentNode>();
  const found = known.get(text);
  if (found) return found;
  const document = parse(text, { maxLexicalTokens: MAX_TOKENS });
  const errors = validate(schema, document, specifiedRules);
  if (errors.length > 0) return errors;
  if (text.length <= MOST_TEXT) {
    validDocuments.set(schema, known.set(text, document));
    const [oldest] = known.keys();
    if (known.size > MOST_DOCUMENTS && oldest !== undefined) known.delete(oldest);
  }
  return document;
}

/** What has passed, by the operation's name and variables, of documents that are kept parsed. */
const passed = new WeakMap<DocumentNode, Set<string>>();
const MOST_PASSED = 100;
const MOST_VARIABLES = 1_000;

/** Our limits alone, for a server that has checked the specification's rules itself. */
export function checkLimits(operation: Operation): readonly GraphQLError[] {
  const { document, operationName = null, variables = null } = operation;
  const known = passed.get(document) ?? new Set();
  const key = JSON.stringify([operationName, variables]);
  if (known.has(key)) return [];
  const errors = overLimits(operation);
  const isKept = errors.length === 0 && known.size < MOST_PASSED && key.length <= MOST_VARIABLES;
  if (isKept) passed.set(document, known.add(key));
  return errors;
}

function overLimits({
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
