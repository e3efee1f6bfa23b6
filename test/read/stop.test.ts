import { once } from 'node:events';

import { expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { startService } from '../support/service.ts';

test('a stop tells every client to go (1001), ends its streams, and does not wait for them', async () => {
  const service = await startService();
  const socket = new WebSocket(
    `${service.api.replace('http', 'ws')}/graphql`,
    'graphql-transport-ws',
  );
  await once(socket, 'open');
  socket.send('{"type":"connection_init"}');
  await once(socket, 'message');
  socket.send(
    '{"type":"subscribe","id":"1","payload":{"query":"subscription { jobEvents { id } }"}}',
  );
  const stream = await fetch(`${service.api}/graphql/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ query: 'subscription { jobEvents { id } }' }),
  });
  const ended = stream.text().catch(() => 'cut');
  const closed = once(socket, 'close');
  await service.stop();
  const [code] = (await closed) as [number];
  expect(code).toBe(1001);
  await ended;
});
