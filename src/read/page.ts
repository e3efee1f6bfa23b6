import { GraphQLError } from 'graphql';

const MAX_PAGE = 100;

/** A request of the caller's that cannot be served as it is; the message says what to change. */
export function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

export type PageArguments = Readonly<{
  first?: number | null;
  after?: string | null;
  last?: number | null;
  before?: string | null;
}>;

/** `backwards`: the last rows before the cursor, to be given in the order of the list all the same. */
export type Page = Readonly<{ size: number; cursor: Cursor | null; backwards: boolean }>;

/** The place of a row in a list: its sort value and its id. */
export type Cursor = Readonly<{ value: string; id: string }>;

/** Reads `first`/`after` or `last`/`before`; `list` names the order, so a cursor of another list is refused. */
export function readPage(args: PageArguments, list: string, defaultSize: number): Page {
  const backwards = typeof args.last === 'number';
  const [size, cursor, foreign] = backwards
    ? [args.last, args.before, args.after]
    : [args.first, args.after, args.before];
  if (typeof foreign === 'string') {
    throw badInput('`after` goes with `first`, and `before` with `last`');
  }
  return {
    size: checkedSize(size ?? defaultSize),
    backwards,
    cursor: typeof cursor === 'string' ? decodeCursor(cursor, list) : null,
  };
}

export function checkedSize(size: number): number {
  if (size >= 1 && size <= MAX_PAGE) return size;
  throw badInput(`A page has 1 to ${String(MAX_PAGE)} rows, not ${String(size)}`);
}

export function encodeCursor(list: string, { value, id }: Cursor): string {
  return Buffer.from(JSON.stringify([list, value, id])).toString('base64url');
}

export function decodeCursor(text: string, list: string): Cursor {
  const [of, value, id] = parsed(text);
  if (of !== list || typeof value !== 'string' || typeof id !== 'string') {
    throw badInput('The cursor is not one of this list in this order: take it from the last page');
  }
  return { value, id };
}

function parsed(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

export type Connection<Node> = Readonly<{
  edges: readonly Readonly<{ cursor: string; node: Node }>[];
  nodes: readonly Node[];
  pageInfo: Readonly<{
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  }>;
}>;

/** Makes a connection of up to `size + 1` rows in the order in which they were read. */
export function connection<Row, Node>(
  rows: readonly Row[],
  page: Page,
  { cursorOf, nodeOf }: Readonly<{ cursorOf: (row: Row) => string; nodeOf: (row: Row) => Node }>,
): Connection<Node> {
  const more = rows.length > page.size;
  const kept = rows.slice(0, page.size);
  const ordered = page.backwards ? kept.toReversed() : kept;
  const edges = ordered.map((row) => ({ cursor: cursorOf(row), node: nodeOf(row) }));
  return {
    edges,
    nodes: edges.map(({ node }) => node),
    pageInfo: {
      hasNextPage: page.backwards ? page.cursor !== null : more,
      hasPreviousPage: page.backwards ? more : page.cursor !== null,
      startCursor: edges.at(0)?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
