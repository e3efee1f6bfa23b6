import { once } from 'node:events';
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import type { TestProject } from 'vitest/node';

import { TestServers } from './test-servers.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where test files ask for databases and virtual hosts. */
    testServersUrl: string;
  }
}

/**
 * Serves the test files, which run in processes of their own, with databases and virtual hosts for as long as the run
 * lasts.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const servers = new TestServers({
    databaseUrl: process.env['DATABASE_URL'] ?? null,
    rabbitmqUrl: process.env['RABBITMQ_URL'] ?? null,
  });
  const server = createServer((request, response) => {
    answer(servers, request).then(
      (body) => response.end(body),
      (error: unknown) => {
        response.statusCode = 500;
        response.end(error instanceof Error ? (error.stack ?? error.message) : String(error));
      },
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  project.provide(
    'testServersUrl',
    `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
  );
  return async () => {
    server.close();
    server.closeAllConnections();
    await servers.close();
  };
}

async function answer(servers: TestServers, request: IncomingMessage): Promise<string> {
  const asked = `${request.method ?? ''} ${request.url ?? ''}`;
  const url = await text(request);
  const answers: Record<string, () => Promise<string | void>> = {
    'POST /databases/migrated': async () => servers.createDatabase('migrated'),
    'POST /databases/empty': async () => servers.createDatabase('empty'),
    'DELETE /databases': async () => servers.dropDatabase(url),
    'POST /vhosts': async () => servers.createVhost(),
    'DELETE /vhosts': async () => servers.dropVhost(url),
  };
  const found = answers[asked];
  if (found === undefined) throw new Error(`The test servers don't know "${asked}"`);
  return (await found()) ?? '';
}
