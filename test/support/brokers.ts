import { PrivateRabbitmq } from './private-rabbitmq.ts';

/** A RabbitMQ in which each test file gets a virtual host of its own. */
export type Broker = Readonly<{
  /** Returns the new virtual host's URL. */
  addVhost(name: string): Promise<string>;
  deleteVhost(name: string): Promise<void>;
  close(): Promise<void>;
}>;

export async function privateBroker(): Promise<Broker> {
  return PrivateRabbitmq.start();
}

/** The given RabbitMQ can't be used; the message says what to do. */
class NoManagement extends Error {
  override readonly name = 'NoManagement';
}

/** Another RabbitMQ instead of one without a management API; the output tells that the given one is not tested. */
export async function insteadOfGiven(reason: unknown): Promise<Broker> {
  if (!(reason instanceof NoManagement)) throw reason;
  process.stderr.write(`${reason.message}. The tests use a private RabbitMQ instead.\n`);
  return privateBroker();
}

/**
 * The RabbitMQ that `RABBITMQ_URL` names. Its virtual hosts are made through its management API, which has to be
 * there under the same credentials: on port 15672, or where `RABBITMQ_MANAGEMENT_URL` says.
 */
export async function givenBroker(
  url: string,
  managementUrl: string | null = process.env['RABBITMQ_MANAGEMENT_URL'] ?? null,
): Promise<Broker> {
  const { username, password, hostname } = new URL(url);
  const user = decodeURIComponent(username) || 'guest';
  const authorization = `Basic ${btoa(`${user}:${decodeURIComponent(password) || 'guest'}`)}`;
  const base = managementUrl ?? `http://${hostname}:15672`;
  const call = async (method: string, path: string, body: object = {}): Promise<void> => {
    const response = await fetch(new URL(path, base), {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok)
      throw new Error(`${method} ${path} was answered with ${String(response.status)}`);
  };
  await call('GET', '/api/whoami').catch((cause: unknown) => {
    throw new NoManagement(
      `Each test file needs a virtual host, but the management API of RABBITMQ_URL does not answer at ${base}: enable rabbitmq_management, or name it in RABBITMQ_MANAGEMENT_URL`,
      { cause },
    );
  });
  return {
    addVhost: async (name) => {
      await call('PUT', `/api/vhosts/${name}`);
      const all = { configure: '.*', write: '.*', read: '.*' };
      await call('PUT', `/api/permissions/${name}/${encodeURIComponent(user)}`, all);
      const vhost = new URL(url);
      vhost.pathname = `/${name}`;
      return vhost.href;
    },
    deleteVhost: async (name) => call('DELETE', `/api/vhosts/${name}`),
    close: async () => {},
  };
}
