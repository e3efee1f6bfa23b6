import { type ExecutionArgs, GraphQLError, type GraphQLSchema } from 'graphql';

import type { Access } from '../../platform/access.ts';
import type { Queryable } from '../../platform/database.ts';
import { type ApiContext, apiContext, refused } from './context.ts';
import { checkLimits, validDocument } from './limits.ts';

/** What the live transports need to serve the schema. */
export type LiveApi = Readonly<{ schema: GraphQLSchema; access: Access; database: Queryable }>;

type Payload = Readonly<{
  query?: unknown;
  operationName?: unknown;
  variables?: unknown;
}>;

/** Ready to run. The transports want a context with any key. */
type PreparedOperation = ExecutionArgs &
  Readonly<{ contextValue: ApiContext & Record<PropertyKey, unknown> }>;

/** An operation that came over WebSocket or SSE, ready to run, or what is wrong with it. The same rules as over HTTP. */
export function prepare(
  { schema, access, database }: LiveApi,
  payload: Payload,
  caller: Readonly<{ authorization: unknown; address: string | undefined }>,
): PreparedOperation | readonly GraphQLError[] {
  const viewer = access.identify(caller.authorization, caller.address);
  if (typeof viewer === 'string') return [refused(viewer)];
  const operationName =
    typeof payload.operationName === 'string' ? payload.operationName : undefined;
  // Both transports have checked that variables are an object, if they are there.
  const variableValues = (payload.variables ?? {}) as Record<string, unknown>;
  try {
    const document = validDocument(schema, String(payload.query));
    if (!('kind' in document)) return document;
    const errors = checkLimits({ schema, document, operationName, variables: variableValues });
    if (errors.length > 0) return errors;
    const contextValue = { ...apiContext(database, viewer) };
    return {
      schema,
      document,
      variableValues,
      contextValue,
      ...(operationName === undefined ? {} : { operationName }),
    };
  } catch (error) {
    if (error instanceof GraphQLError) return [error];
    throw error;
  }
}
