import { randomUUID } from 'node:crypto';

import { type ExecutionResult, GraphQLError } from 'graphql';

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

/** A result with the faults in it masked. */
export function masked<Result extends ExecutionResult>(result: Result, logger: Logger): Result {
  if (result.errors === undefined) return result;
  return { ...result, errors: result.errors.map((error) => maskedError(error, logger)) };
}
