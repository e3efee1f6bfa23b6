import { type IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import { type FastifyInstance, fastify } from 'fastify';

import { type Answer, Refused, problemAnswer } from './webhooks/problem.ts';
import { isLingering, sendAnswer } from './webhooks/send-answer.ts';

export type HttpLimits = Readonly<{
  /** For all headers of a request. */
  headersTimeoutMs: number;
  /** For a whole request; the body's own, shorter deadline answers better and comes first. */
  requestTimeoutMs: number;
}>;

const MAX_HEADER_BYTES = 16_384;
/** Git hosts send some twenty. */
const MAX_HEADERS = 128;
/** Proxies may send the whole URL. */
const SOURCE_PATH = /^(?:https?:\/\/[^/?#]+)?\/webhooks\/([^/?#]+)$/;

/** Takes a webhook for a source of this name, and answers it. */
export type TakeWebhook = (
  source: string,
  request: IncomingMessage,
  response: ServerResponse,
) => Promise<void>;

/**
 * A Fastify instance that hands each `POST /webhooks/<source>` on before anything of it is routed or read, and refuses
 * everything else in `application/problem+json`, down to what is not even HTTP.
 */
export function createHttpServer(limits: HttpLimits, take: TakeWebhook): FastifyInstance {
  const server = fastify({
    logger: false,
    exposeHeadRoutes: false,
    // While it stops, what still comes in on an open connection is served like anything else.
    return503OnClosing: false,
    requestTimeout: limits.requestTimeoutMs,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      connectionsCheckingInterval: 500,
    },
    clientErrorHandler: answerParserError,
    frameworkErrors: (_error, request, reply) => {
      reply.hijack();
      sendAnswer(request.raw, reply.raw, problemAnswer(nothingHere()));
    },
  });
  server.addHook('onRequest', ({ raw: request }, reply) => {
    // Whoever takes it reads the raw stream and may answer before it has ended, which Fastify cannot.
    reply.hijack();
    const found = sourceOf(request);
    if (typeof found === 'string') void take(found, request, reply.raw);
    else sendAnswer(request, reply.raw, problemAnswer(found));
  });
  endConnectionsAtStop(server);
  server.server.on('checkContinue', passOn).on('checkExpectation', passOn);

  /** A sender that waits for leave to send its body gets it when the body is read, or its refusal before. */
  function passOn(request: IncomingMessage, response: ServerResponse): void {
    server.server.emit('request', request, response);
  }
  return server;
}

/** A connection is kept open after its answer, so those of the last answers would hold a stop up. */
function endConnectionsAtStop(server: FastifyInstance): void {
  let stopping = false;
  server.addHook('preClose', (done) => {
    stopping = true;
    done();
  });
  server.addHook('onResponse', (_request, _reply, done) => {
    if (stopping) server.server.closeIdleConnections();
    done();
  });
}

/** The name of the source that a request is for, or why it needs no closer look. */
function sourceOf({ url = '', method, rawHeaders }: IncomingMessage): string | Refused {
  if (rawHeaders.length > 2 * MAX_HEADERS) {
    return new Refused('headers-too-large', `There are more than ${String(MAX_HEADERS)} headers`);
  }
  const [path = ''] = url.split('?', 1);
  const [, source] = SOURCE_PATH.exec(path) ?? [];
  if (source === undefined) return nothingHere();
  if (method === 'POST') return source;
  return new Refused('method-not-allowed', 'Webhooks are sent with POST', { allow: 'POST' });
}

const nothingHere = (): Refused =>
  new Refused('unknown-path', 'Webhooks are sent to /webhooks/<source>');

const PARSER_PROBLEMS: Readonly<Record<string, Refused>> = {
  HPE_HEADER_OVERFLOW: new Refused(
    'headers-too-large',
    `The headers are longer than ${String(MAX_HEADER_BYTES)} bytes`,
  ),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new Refused('body-too-large', 'The chunk extensions are too long'),
  ERR_HTTP_REQUEST_TIMEOUT: new Refused('too-slow', 'The request did not arrive in time'),
};

/** For what Node's parser refuses before there is a request. */
function answerParserError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isLingering(socket)) {
    socket.destroy();
    return;
  }
  const refused =
    PARSER_PROBLEMS[error.code ?? ''] ??
    new Refused('malformed', 'The request is not valid HTTP/1.1');
  socket.end(onTheWire(problemAnswer(refused)));
  const timer = setTimeout(() => {
    socket.destroy();
  }, 2000);
  socket.once('close', () => {
    clearTimeout(timer);
  });
}

function onTheWire({ status, headers, body }: Answer): string {
  const lines = Object.entries({
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`;
}
