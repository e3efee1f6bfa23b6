import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createHandler } from 'graphql-sse/lib/use/fastify';

import type { Logger } from '../../platform/logger.ts';
import type { ConnectionCounter } from './connection-counter.ts';
import type { ApiContext } from './context.ts';
import { masked } from './faults.ts';
import { type LiveApi, prepare } from './operation.ts';

/** How `graphql-sse` wants a context to look. */
type SseContext = ApiContext & Record<PropertyKey, unknown>;

/** GraphQL over server-sent events, one connection for each operation: `curl -N` is a client. */
export function serveSse(
  fastify: FastifyInstance,
  api: LiveApi & Readonly<{ path: string; logger: Logger; connections: ConnectionCounter }>,
): void {
  const handler = createHandler<SseContext>({
    schema: api.schema,
    // Only the mode of distinct connections: a token would ask for the other one.
    authenticate: () => '',
    onSubscribe: ({ raw: request }, payload) => {
      const prepared = prepare(api, payload, {
        authorization: request.headers.authorization,
        address: request.ip,
      });
      return 'schema' in prepared ? prepared : { errors: prepared };
    },
    onNext: (_context, _request, result) => masked(result, api.logger),
  });
  const serve = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!api.connections.admit(request.raw.socket, reply.raw)) {
      await reply.code(503).header('retry-after', '5').send({ message: 'Too many connections' });
      return;
    }
    await handler(request, reply);
  };
  fastify.route({ method: ['GET', 'POST', 'PUT', 'DELETE'], url: api.path, handler: serve });
}
