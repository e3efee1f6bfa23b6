import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Response } from 'graphql-sse';
import { createHandler } from 'graphql-sse/lib/use/fastify';

import type { Refusal } from '../../platform/access.ts';

import type { Logger } from '../../platform/logger.ts';
import type { ConnectionCounter } from './connection-counter.ts';
import { type ApiContext, refused } from './context.ts';
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
    authenticate: ({ raw: request }) => {
      const viewer = api.access.identify(request.headers.authorization, request.ip);
      // Only the mode of distinct connections: a token would ask for the other one.
      return typeof viewer === 'string' ? refusal(viewer) : '';
    },
    onSubscribe: ({ raw: request }, payload) => {
      const prepared = prepare(api, payload, {
        authorization: request.headers.authorization,
        address: request.ip,
      });
      // Without `data` it would not be taken for a result.
      return 'schema' in prepared ? prepared : { data: null, errors: prepared };
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

function refusal(reason: Refusal): Response {
  const error = refused(reason);
  const status = reason === 'not-loopback' ? 403 : 401;
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return [JSON.stringify({ errors: [error] }), { status, statusText: 'Refused', headers }];
}
