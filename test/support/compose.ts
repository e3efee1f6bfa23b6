import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { freePort } from '../../src/platform/free-port.ts';
import { type Broker, givenBroker } from './brokers.ts';
import { NoPrograms } from './programs.ts';

const FILE = join(import.meta.dirname, '../../docker-compose.yml');

/** Starts Postgres in a container, after `reason` has told that there are no programs for it here. */
export async function composePostgres(
  reason: unknown,
): Promise<Readonly<{ url: string; close(): Promise<void> }>> {
  const port = String(await freePort());
  const close = up('postgres', { POSTGRES_PORT: port }, reason);
  return { url: `postgres://jobledger:jobledger@127.0.0.1:${port}/jobledger`, close };
}

/** The same for RabbitMQ. */
export async function composeBroker(reason: unknown): Promise<Broker> {
  const [port, managementPort] = [String(await freePort()), String(await freePort())];
  const close = up(
    'rabbitmq',
    { RABBITMQ_PORT: port, RABBITMQ_MANAGEMENT_PORT: managementPort },
    reason,
  );
  const broker = await givenBroker(
    `amqp://jobledger:jobledger@127.0.0.1:${port}`,
    `http://127.0.0.1:${managementPort}`,
  );
  return { ...broker, close };
}

/** Brings a service up in a project of its own; the result takes it down with its data. */
function up(
  service: string,
  ports: Readonly<Record<string, string>>,
  reason: unknown,
): () => Promise<void> {
  if (!(reason instanceof NoPrograms)) throw reason;
  const project = `jobledger-test-${randomBytes(4).toString('hex')}`;
  const compose = (...args: readonly string[]): void => {
    execFileSync('docker', ['compose', '--file', FILE, '--project-name', project, ...args], {
      env: { ...process.env, ...ports },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  };
  try {
    compose('version');
  } catch {
    throw reason;
  }
  compose('up', '--detach', '--wait', service);
  return async () => {
    compose('down', '--volumes');
  };
}
