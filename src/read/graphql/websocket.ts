import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { GraphQLError } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { type WebSocket, WebSocketServer } from 'ws';

import type { Logger } from '../../platform/logger.ts';
import type { ConnectionCounter } from './connection-counter.ts';
import { masked } from './faults.ts';
import { type LiveApi, prepare } from './operation.ts';

const OVER_LIMIT = 1013;
const MAX_SUBSCRIPTIONS = 100;
const GOING_AWAY = 1001;
const MAX_FRAME_BYTES = 1024 * 1024;
/** A client that leaves a ping unanswered for so long has gone: its socket is closed by the next one. */
const HEARTBEAT_MS = 12_000;

export type WebSocketTransport = Readonly<{
  /** Tells every client to go (1001), so that it comes back to another process, and waits for them. */
  close: () => Promise<void>;
}>;

/**
 * `graphql-transport-ws` on the API's own path. This is ours, and not Nest's, because Nest 14.0 runs no validation
 * rules on operations over WebSocket, and one reset during an upgrade to another path ends its process.
 */
export function serveWebSocket(
  server: Server,
  api: LiveApi &
    Readonly<{
      path: string;
      logger: Logger;
      connections: ConnectionCounter;
      heartbeatMs?: number;
    }>,
): WebSocketTransport {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    handleProtocols: (offered) => offered.has('graphql-transport-ws') && 'graphql-transport-ws',
  });
  const transport = useServer(options(api), sockets, api.heartbeatMs ?? HEARTBEAT_MS);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Without a listener, a reset during the upgrade would end the process.
    socket.on('error', () => socket.destroy());
    const status = refusal(request, api.path);
    if (status !== null) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('error', (error) => {
        api.logger.debug({ err: error }, 'a WebSocket failed');
      });
      if (!api.connections.admit(request.socket, client)) {
        client.close(OVER_LIMIT, 'Too many connections');
        return;
      }
      sockets.emit('connection', client, request);
    });
  });
  return {
    close: async () => {
      await Promise.all([...sockets.clients].map((client, index) => sendAway(client, index)));
      await transport.dispose();
    },
  };
}

/** Those who are told at once come back at once: they go over some seconds, when there are many, in any order. */
const AWAY_MS_EACH = 2;
const MOST_AWAY_MS = 3_000;

async function sendAway(client: WebSocket, clientsBefore: number): Promise<void> {
  const spreadMs = Math.min(MOST_AWAY_MS, clientsBefore * AWAY_MS_EACH);
  await sleep(Math.random() * spreadMs);
  client.close(GOING_AWAY, 'The server is going away');
}

type Extra = Readonly<{
  request: IncomingMessage;
  socket: {
    close: (code: number, reason: string) => void;
    once: (event: 'close', listener: () => void) => void;
  };
}>;

function options(
  api: LiveApi & Readonly<{ logger: Logger }>,
): Parameters<typeof useServer<Record<string, unknown>, Extra>>[0] {
  return {
    schema: api.schema,
    // Otherwise it writes faults to the console, and their text into close reasons.
    isProd: true,
    connectionInitWaitTimeout: 3_000,
    onConnect: (context) => {
      const { request, socket } = context.extra;
      const authorization = authorizationOf(context);
      const { remoteAddress } = request.socket;
      const isKnown = (): boolean =>
        typeof api.access.identify(authorization, remoteAddress) !== 'string';
      const closeIfRevoked = (): void => {
        if (!isKnown()) socket.close(CloseCode.Forbidden, 'Forbidden');
      };
      closeIfRevoked();
      if (!isKnown()) return false;
      socket.once('close', api.access.onChange(closeIfRevoked));
      return true;
    },
    onSubscribe: (context, _id, payload) => {
      const { request, socket } = context.extra;
      if (Object.keys(context.subscriptions).length > MAX_SUBSCRIPTIONS) {
        socket.close(OVER_LIMIT, 'Too many subscriptions');
        return [new GraphQLError('Too many subscriptions on this connection')];
      }
      const caller = {
        authorization: authorizationOf(context),
        address: request.socket.remoteAddress,
      };
      return prepare(api, payload, caller);
    },
    onNext: (...[, , , , result]) => {
      const shown = masked(result, api.logger);
      return shown && { ...shown, errors: shown.errors.map((error) => error.toJSON()) };
    },
  };
}

/** A browser cannot set the header of an upgrade, so the first message may carry it. */
function authorizationOf({
  connectionParams,
  extra,
}: Readonly<{
  connectionParams?: Readonly<Record<string, unknown>> | undefined;
  extra: Pick<Extra, 'request'>;
}>): unknown {
  return connectionParams?.['authorization'] ?? extra.request.headers.authorization;
}

/** A page of another origin may not open a socket with the reader's address; programs send no origin. */
function refusal({ url, headers }: IncomingMessage, path: string): string | null {
  if ((url ?? '').split('?')[0] !== path) return '404 Not Found';
  const { origin, host } = headers;
  if (origin === undefined) return null;
  const sameHost = URL.canParse(origin) && new URL(origin).host === host;
  return sameHost ? null : '403 Forbidden';
}
