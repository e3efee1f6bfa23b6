import { PrivatePostgres } from './private-postgres.ts';
import { PrivateRabbitmq } from './private-rabbitmq.ts';

export type { PrivatePostgres, PrivateRabbitmq };

/** A Postgres for tests that stop, kill or wipe it; `close` it in the end. Its database is empty. */
export async function startPrivatePostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PrivatePostgres> {
  return PrivatePostgres.start({ settings });
}

/** A RabbitMQ for tests that stop, kill or wipe it; `close` it in the end. */
export async function startPrivateRabbitmq(): Promise<PrivateRabbitmq> {
  return PrivateRabbitmq.start();
}
