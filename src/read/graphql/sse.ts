import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { type Response, createHandler } from 'graphql-sse';

import type { Refusal } from '../../platform/access.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ConnectionCounter } from './connection-counter.ts';
import { type ApiContext, refused } from './context.ts';
import { masked } from './faults.ts';
import { type LiveApi, prepare } from './operation.ts';
import { SseStream } from './sse-stream.ts';

/** How `graphql-sse` wants a context to look. */
type SseContext = ApiContext & Record<PropertyKey, unknown>;

type SseApi = LiveApi & Readonly<{ path: string; logger: Logger; connections: ConnectionCounter }>;

/** GraphQL over server-sent events, one connection for each operation: `curl -N` is a client. */
export function serveSse(fastify: FastifyInstance, api: SseApi): void {
  const handle = handlerOf(api);
  const serve = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!api.connections.admit(request.raw.socket, reply.raw)) {
      await reply.code(503).header('retry-after', '5').send({ message: 'Too many connections' });
      return;
    }
    const stream = new SseStream(reply.raw);
    const [body, init] = await handle({
      method: request.method,
      url: request.url,
      headers: { get: (name) => headerOf(request, name) },
      body: () => Promise.resolve(request.body as Record<PropertyKey, unknown> | null),
      raw: request,
      context: stream,
    });
    reply.hijack();
    reply.raw.writeHead(init.status, init.statusText, init.headers);
    if (body !== null && typeof body !== 'string') {
      const end = (): void => void body.return(undefined);
      const endIfRevoked = (): void => {
        const viewer = api.access.identify(request.headers.authorization, request.ip);
        if (typeof viewer === 'string') reply.raw.destroy();
      };
      const forget = api.access.onChange(endIfRevoked);
      reply.raw.once('close', end);
      try {
        await stream.send(body);
      } catch (error) {
        api.logger.error({ err: error }, 'a stream of events broke off');
      }
      forget();
      reply.raw.off('close', end);
      reply.raw.end();
    } else {
      reply.raw.end(body ?? undefined);
    }
  };
  fastify.route({ method: ['GET', 'POST', 'PUT', 'DELETE'], url: api.path, handler: serve });
}

function handlerOf(
  api: SseApi,
): ReturnType<typeof createHandler<FastifyRequest, SseStream, SseContext>> {
  return createHandler<FastifyRequest, SseStream, SseContext>({
    schema: api.schema,
    authenticate: ({ raw: request }) => {
      const viewer = api.access.identify(request.headers.authorization, request.ip);
      // Only the mode of distinct connections: a token would ask for the other one.
      return typeof viewer === 'string' ? refusal(viewer) : '';
    },
    onSubscribe: ({ raw: request, context: stream }, payload) => {
      const lastId = headerOf(request, 'last-event-id') ?? '';
      if (!/^\d{0,18}$/.test(lastId)) return { data: null, errors: [NO_POSITION] };
      const prepared = prepare(api, payload, {
        authorization: request.headers.authorization,
        address: request.ip,
      });
      // Without `data` it would not be taken for a result.
      if (!('schema' in prepared)) return { data: null, errors: prepared };
      stream.place = prepared.contextValue.place;
      stream.place.resumeAfter = lastId === '' ? null : BigInt(lastId);
      return prepared;
    },
    onNext: async (_context, { context: stream }, result) => {
      await stream.next();
      return masked(result, api.logger);
    },
  });
}

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join('\n') : value;
}

const NO_POSITION = new GraphQLError(
  'Last-Event-ID is not a position that this stream has given: leave it out, or say `after`',
  { extensions: { code: 'BAD_USER_INPUT' } },
);

function refusal(reason: Refusal): Response {
  const error = refused(reason);
  const status = reason === 'not-loopback' ? 403 : 401;
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return [JSON.stringify({ errors: [error] }), { status, statusText: 'Refused', headers }];
}
