import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { InProcessTransport } from '../../src/messaging/in-process-transport.ts';
import { RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import type { Topology } from '../../src/messaging/topology.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createVhost } from '../support/rabbitmq.ts';
import { type Broker, type TestedTransport, contract } from './transport.contract.ts';

const logger = createLogger('fatal', 'test');

describe('in process', () => {
  test.each(contract)('$name', async ({ expectOf }) => {
    let shared: InProcessTransport | undefined;
    // One process has one transport; only its first user closes it.
    const connect = async (topology: Topology): Promise<TestedTransport> =>
      (shared ??= new InProcessTransport({ logger, topology }));
    await expectOf({ connect, patienceMs: 5_000 });
  });
});

describe('over RabbitMQ', () => {
  let vhost: Awaited<ReturnType<typeof createVhost>>;
  let broker: Broker;

  beforeAll(async () => {
    vhost = await createVhost();
    broker = {
      patienceMs: 10_000,
      connect: async (topology) => {
        const transport = new RabbitmqTransport({ url: vhost.url, name: 'test', logger, topology });
        await transport.start();
        return transport;
      },
    };
  });
  afterAll(async () => {
    await vhost?.drop();
  });

  test('what is confirmed is durable', async () => {
    const transport = new RabbitmqTransport({ url: vhost.url, name: 'test', logger });
    expect(transport.isDurable).toBe(true);
    expect(new InProcessTransport({ logger }).isDurable).toBe(false);
  });

  test.each(contract)('$name', async ({ expectOf }) => {
    await expectOf(broker);
  });
});

describe('a transport that does nothing', () => {
  const noop: TestedTransport = {
    isDurable: false,
    publish: async () => undefined,
    consume: async () => undefined,
    isReady: () => true,
    depth: () => Promise.resolve(0),
    queues: async () => [],
    redrive: async () => 0,
    deadLetters: async () => [],
    close: async () => undefined,
  };

  test.each(contract)('fails: $name', async ({ expectOf }) => {
    await expect(expectOf({ connect: async () => noop, patienceMs: 50 })).rejects.toBeInstanceOf(
      Error,
    );
  });
});
