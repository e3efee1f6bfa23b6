import { randomUUID } from 'node:crypto';

import { GraphQLError } from 'graphql';

import type { Logger } from '../../platform/logger.ts';

/**
 * A fault of ours, told apart from what the caller did: its text may hold anything, so it goes to the log under a
 * trace id, and the caller gets the id.
 */
export function maskedError(error: GraphQLError, logger: Logger): GraphQLError {
  const { originalError } = error;
  if (originalError === undefined || originalError instanceof GraphQLError) return error;
  const traceId = randomUUID();
  logger.error({ err: originalError, traceId, path: error.path }, 'a field of the API failed');
  return new GraphQLError(`Something went wrong here; the log has it under ${traceId}`, {
    ...(error.nodes ? { nodes: error.nodes } : {}),
    ...(error.path ? { path: error.path } : {}),
    extensions: { code: 'INTERNAL', traceId },
  });
}

type Erroneous = { data?: Record<string, unknown> | null; errors: GraphQLError[] };

/** The result with the faults in it masked; undefined when there are no errors in it, and it can go as it is. */
export function masked(result: object, logger: Logger): Erroneous | undefined {
  // The transports' types of a result differ in what may be undefined; each may carry errors.
  const { errors, ...rest } = result as Partial<Erroneous>;
  return errors && { ...rest, errors: errors.map((error) => maskedError(error, logger)) };
}
