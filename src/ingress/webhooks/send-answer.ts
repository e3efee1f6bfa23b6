import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Answer } from './problem.ts';

/** How long what is left of a refused body is thrown away before the connection is cut. */
const LINGER_MS = 2000;

/** What is left of a body as short as this is thrown away to keep the connection. */
const SHORT_BODY = 65_536;

/**
 * Sends the answer. If much of the request is still to come the connection ends with the answer, but
 * lingers: closing a socket with unread bytes resets it, and the sender may never see why it was refused.
 */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: Answer,
): void {
  if (response.headersSent || response.destroyed) return;
  const keep = request.complete || (status !== 408 && isShort(request));
  response.writeHead(status, {
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    ...(keep ? {} : { connection: 'close' }),
  });
  if (keep) {
    request.resume();
    response.end(body);
  } else {
    response.write(body);
    linger(request, response);
  }
}

/** A sender that waits for leave to send may now send the body or not, so where it ends is unknown. */
function isShort({ headers }: IncomingMessage): boolean {
  return headers.expect === undefined && Number(headers['content-length']) <= SHORT_BODY;
}

const lingering = new WeakSet<Socket>();

/** Whether the last answer of this connection has been sent. */
export const isLingering = (socket: Socket): boolean => lingering.has(socket);

function linger(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  lingering.add(request.socket);
  const timer = setTimeout(end, LINGER_MS);
  request.on('error', () => undefined);
  request.once('end', end).once('close', end);
  request.resume();
}
