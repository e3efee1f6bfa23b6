import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Answer } from './problem.ts';

/** How long what is left of a refused body is thrown away before the connection is cut. */
const LINGER_MS = 2000;

/**
 * Sends the answer. If the request is not whole, the connection ends with it, but lingers: closing a
 * socket with unread bytes resets it, and then the sender may never see why it was refused.
 */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: Answer,
): void {
  if (response.headersSent || response.destroyed) return;
  const isWhole = request.complete;
  response.writeHead(status, {
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    'cache-control': 'no-store',
    ...(isWhole ? {} : { connection: 'close' }),
  });
  if (isWhole) {
    response.end(body);
    return;
  }
  response.write(body);
  linger(request, response);
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
