import { once } from 'node:events';

import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

import { Access } from '../../src/platform/access.ts';
import { createApiKey, revokeApiKey } from '../../src/platform/api-keys.ts';
import { sql } from '../../src/platform/sql.ts';
import { eventually } from '../support/eventually.ts';
import { type Service, startService } from '../support/service.ts';

describe('without keys', () => {
  test.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'])('%s is let in', (address) => {
    expect(new Access([]).identify(undefined, address)).toMatchObject({ role: 'admin' });
  });

  test.each(['10.0.0.1', '::ffff:10.0.0.1', '128.0.0.1', '::2', undefined])(
    '%s is not',
    (address) => {
      expect(new Access([]).identify('Bearer x', address)).toBe('not-loopback');
    },
  );
});

describe('with keys', () => {
  const KEYS = { viewer: 'v'.repeat(16), operator: 'o'.repeat(16) };
  let service: Service;
  beforeAll(async () => {
    service = await startService({
      env: { API_KEYS: `eve:viewer:${KEYS.viewer},otto:operator:${KEYS.operator}` },
    });
  });
  afterAll(async () => {
    await service.stop();
  });

  const ask = async (query: string, key?: string) => {
    const response = await fetch(`${service.api}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key ? { authorization: `Bearer ${key}` } : {}),
      },
      body: JSON.stringify({ query }),
    });
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] };
    return { status: response.status, code: errors?.[0]?.extensions.code ?? null };
  };
  const QUERY = '{ jobs { nodes { id } } }';
  const MUTATION = 'mutation { cancelJob(id: "x") { errors { code } } }';

  test('over HTTP: no key and a wrong one are 401, a viewer reads, an operator acts', async () => {
    expect(await ask(QUERY)).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
    expect(await ask(QUERY, 'wrong')).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
    expect(await ask(QUERY, KEYS.viewer)).toMatchObject({ status: 200, code: null });
    expect(await ask(MUTATION, KEYS.viewer)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await ask(MUTATION, KEYS.operator)).toMatchObject({ status: 200, code: null });
  });

  const overSocket = async (query: string, key: string) => {
    const client = createClient({
      url: `${service.api.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { authorization: `Bearer ${key}` },
    });
    try {
      const { value } = await client.iterate({ query }).next();
      return (
        (value as { errors?: { extensions: { code: string } }[] }).errors?.[0]?.extensions.code ??
        null
      );
    } catch (error) {
      return (error as { code?: number }).code ?? error;
    } finally {
      await client.dispose();
    }
  };

  test('over WebSocket: a wrong key closes with 4403, the roles are the same', async () => {
    expect(await overSocket(QUERY, 'wrong')).toBe(4403);
    expect(await overSocket(QUERY, KEYS.viewer)).toBeNull();
    expect(await overSocket(MUTATION, KEYS.viewer)).toBe('FORBIDDEN');
    expect(await overSocket(MUTATION, KEYS.operator)).toBeNull();
  });

  test('over server-sent events: no key is refused', async () => {
    const response = await fetch(`${service.api}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: QUERY }),
    });
    expect(response.status).toBe(401);
    expect(await response.text()).toContain('UNAUTHENTICATED');
  });
});

describe('with keys that the command line made', () => {
  test('a key opens what its role may; when it is revoked, its sockets and streams are closed', async () => {
    const service = await startService();
    const { database } = service.core;
    const key = (await createApiKey(database, { name: 'bot', role: 'viewer' })) ?? '';
    expect(await createApiKey(database, { name: 'bot', role: 'admin' })).toBeNull();
    const status = async (authorization: string) =>
      (
        await fetch(`${service.api}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization },
          body: '{"query":"{ __typename }"}',
        })
      ).status;
    await eventually(
      async () => {
        expect(await status('Bearer wrong')).toBe(401);
      },
      { timeoutMs: 30_000 },
    );
    expect(await status(`Bearer ${key}`)).toBe(200);

    const socket = new WebSocket(
      `${service.api.replace('http', 'ws')}/graphql`,
      'graphql-transport-ws',
    );
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: key } }));
    await once(socket, 'message');
    const closed = once(socket, 'close');
    const stream = await fetch(`${service.api}/graphql/stream`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${key}`,
      },
      body: '{"query":"subscription { jobEvents { id } }"}',
    });
    expect(stream.status).toBe(200);
    const ended = stream.text().catch(() => 'cut');
    expect(await revokeApiKey(database, 'bot')).toBe(true);
    await createApiKey(database, { name: 'another', role: 'viewer' });
    expect((await closed)[0]).toBe(4403);
    expect(await ended).toBe('cut');
    expect(await status(`Bearer ${key}`)).toBe(401);
    const [row] = await database.query<{ text: string }>(
      sql`select key_sha256::text as text from access.api_keys`,
    );
    expect(row?.text).not.toContain(key);
    await service.stop();
  });
});
