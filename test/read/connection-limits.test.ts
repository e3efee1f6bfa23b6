import { EventEmitter, once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { ConnectionCounter } from '../../src/read/graphql/connection-counter.ts';
import { eventually } from '../support/eventually.ts';
import { type Service, startService } from '../support/service.ts';

let service: Service;
beforeAll(async () => {
  service = await startService();
}, 120_000);
afterAll(async () => {
  await service.stop();
});

const opened: { close: () => void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

const SUBSCRIPTION = 'subscription { jobEvents { id } }';

/** The answer's head; the stream stays open. */
async function openStream(query = SUBSCRIPTION): Promise<IncomingMessage> {
  const asked = request(`${service.api}/graphql/stream`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
  });
  asked.on('error', () => undefined);
  opened.push({ close: () => asked.destroy() });
  asked.end(JSON.stringify({ query }));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

async function openSocket(localAddress = '127.0.0.1') {
  const url = `${service.api.replace('http', 'ws')}/graphql`;
  const socket = new WebSocket(url, 'graphql-transport-ws', { localAddress });
  opened.push({ close: () => socket.terminate() });
  const closed = once(socket, 'close').then(([code]) => code as number);
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  const acknowledged = once(socket, 'message').then(() => 'acknowledged' as const);
  return { socket, outcome: await Promise.race([closed, acknowledged]) };
}

describe('the connections of an address', () => {
  test('are ten, of both kinds together; another address has ten of its own, and one that ends makes room', async () => {
    const first = await openSocket();
    for (let count = 1; count < 5; count++) {
      expect((await openSocket()).outcome).toBe('acknowledged');
    }
    for (let count = 0; count < 5; count++) expect((await openStream()).statusCode).toBe(200);

    expect((await openSocket()).outcome).toBe(1013);
    const refused = await openStream();
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '5']);
    // What is no long connection is not counted.
    expect(await service.query('{ __typename }')).toEqual({ __typename: 'Query' });
    expect((await openSocket('127.0.0.2')).outcome).toBe('acknowledged');

    first.socket.terminate();
    await eventually(async () => {
      expect((await openSocket()).outcome).toBe('acknowledged');
    });
  }, 60_000);

  test('are 10,000 in all', () => {
    const counter = new ConnectionCounter();
    const connections = Array.from({ length: 10_000 }, () => new EventEmitter());
    const from = (address: number): Pick<Socket, 'remoteAddress'> => ({
      remoteAddress: String(address),
    });
    for (const [index, each] of connections.entries()) {
      expect(counter.admit(from(Math.floor(index / 10)), each)).toBe(true);
    }
    expect(counter.admit(from(-1), new EventEmitter())).toBe(false);
    connections[0]?.emit('close');
    expect(counter.size).toBe(9_999);
    expect(counter.admit(from(-1), new EventEmitter())).toBe(true);
  });
});

describe('the limits of a document', () => {
  const overHttp = async (query: string) => {
    const response = await fetch(`${service.api}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    });
    return response.text();
  };
  const overSocket = async (query: string) => {
    const { socket } = await openSocket();
    const answer = once(socket, 'message');
    socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query } }));
    return String((await answer)[0]);
  };
  const overSse = async (query: string) => {
    let text = '';
    for await (const part of await openStream(query)) text += String(part);
    return text;
  };
  const way = [
    ['HTTP', overHttp],
    ['WebSocket', overSocket],
    ['server-sent events', overSse],
  ] as const;

  test.each(way)('hold over %s: its cost, and how much text it has', async (_, ask) => {
    const page = 'jobs(first: 100) { nodes { history(first: 100) { nodes { id } } } }';
    expect(await ask(`{ ${page} }`)).toContain('COST_LIMIT');
    expect(await ask(`{ ${'__typename '.repeat(2_001)} }`)).toContain('Document contains more');
    expect(await ask('{ __typename }')).toContain('"__typename":"Query"');
  });
});
