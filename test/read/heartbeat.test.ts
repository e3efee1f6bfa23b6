import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { buildSchema } from 'graphql';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';

import { Access } from '../../src/platform/access.ts';
import type { Queryable } from '../../src/platform/database.ts';
import { ConnectionCounter } from '../../src/read/graphql/connection-counter.ts';
import { serveWebSocket } from '../../src/read/graphql/websocket.ts';
import { silent } from '../projections/support.ts';

const nothing: Queryable = { query: () => Promise.resolve([]) };

/** Lets everybody in: what is told here has nothing to do with how many there are. */
class Unlimited extends ConnectionCounter {
  override admit(): boolean {
    return true;
  }
}

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) await end();
});

async function serve(heartbeatMs?: number) {
  const server = createServer();
  const transport = serveWebSocket(server, {
    schema: buildSchema('type Query { one: Int }'),
    access: new Access([]),
    database: nothing,
    logger: silent,
    path: '/graphql',
    connections: new Unlimited(),
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => {
    await transport.close().catch(() => undefined);
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const connect = async (options: Readonly<{ autoPong: boolean }> = { autoPong: true }) => {
    const url = `ws://127.0.0.1:${String(port)}/graphql`;
    const socket = new WebSocket(url, 'graphql-transport-ws', options);
    await once(socket, 'open');
    socket.send('{"type":"connection_init"}');
    await once(socket, 'message');
    return socket;
  };
  return { transport, connect };
}

describe('a client', () => {
  test('that never answers a ping loses its socket by the second one; one that answers keeps it', async () => {
    const { connect } = await serve(100);
    const mute = await connect({ autoPong: false });
    const alive = await connect();
    let pings = 0;
    mute.on('ping', () => pings++);
    await once(mute, 'close');
    expect(pings).toBe(1);
    await once(alive, 'ping');
    await once(alive, 'ping');
    expect(alive.readyState).toBe(WebSocket.OPEN);
  });

  test('is told to go at a stop, each at a moment of its own', async () => {
    const { transport, connect } = await serve();
    const clients = [];
    for (let count = 0; count < 100; count++) clients.push(await connect());
    // Every other one is to wait for as long as it may.
    let asked = 0;
    vi.spyOn(Math, 'random').mockImplementation(() => (asked++ % 2 === 0 ? 1 : 0));
    const order: number[] = [];
    const codes = clients.map(async (client, index) => {
      const [code] = (await once(client, 'close')) as [number];
      order.push(index);
      return code;
    });
    await transport.close();
    expect(new Set(await Promise.all(codes))).toEqual(new Set([1001]));
    const last = order.slice(-10);
    expect(last.every((index) => index % 2 === 0)).toBe(true);
  });
});
