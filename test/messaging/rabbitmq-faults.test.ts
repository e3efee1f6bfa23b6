import { type Channel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';

import { type RabbitmqOptions, RabbitmqTransport } from '../../src/messaging/rabbitmq-transport.ts';
import { type Topology, toQueue } from '../../src/messaging/topology.ts';
import { type DeadLetter, NotConfirmed, Unroutable } from '../../src/messaging/transport.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { eventually } from '../support/eventually.ts';
import { type PrivateRabbitmq, startPrivateRabbitmq } from '../support/private-servers.ts';
import { type TcpProxy, startProxy } from '../support/tcp-proxy.ts';
import { Gate, Inbox, within } from './inbox.ts';

// A server takes some ten seconds to come back, on a busy machine more.
vi.setConfig({ testTimeout: 180_000 });

const logger = createLogger('fatal', 'test');
const PATIENCE_MS = 90_000;
const WORK = 'work';

const TOPOLOGY: Topology = {
  exchanges: [
    { name: 'x', type: 'topic' },
    { name: 'x.dlx', type: 'topic' },
  ],
  queues: [
    { name: 'dead', bindings: [{ exchange: 'x.dlx', routingKey: '#' }], deliveryLimit: 1000 },
    { name: WORK, bindings: [{ exchange: 'x', routingKey: 'work.#' }], deliveryLimit: 1000 },
    { name: 'fragile', bindings: [{ exchange: 'x', routingKey: 'fragile' }], deliveryLimit: 2 },
    { name: 'in-order', bindings: [], deliveryLimit: 1000, singleActiveConsumer: true },
  ],
  deadLetters: { exchange: 'x.dlx', queue: 'dead' },
};

let server: PrivateRabbitmq;
let proxy: TcpProxy;
const toClose: RabbitmqTransport[] = [];

beforeAll(async () => {
  server = await startPrivateRabbitmq();
  proxy = await startProxy(Number(new URL(server.url).port));
}, 120_000);

afterAll(async () => {
  await proxy?.close();
  await server?.close();
});

afterEach(async () => {
  proxy.resume();
  await Promise.all(toClose.splice(0).map(async (transport) => transport.close()));
});

/** Deletes what an earlier test has left: faster than a new virtual host. */
async function clearServer(): Promise<void> {
  const { channel, end } = await bystander();
  for (const { name } of TOPOLOGY.queues) await channel.deleteQueue(name);
  for (const { name } of TOPOLOGY.exchanges) await channel.deleteExchange(name);
  await end();
}

async function started(options: Partial<RabbitmqOptions> = {}): Promise<RabbitmqTransport> {
  const transport = new RabbitmqTransport({
    url: server.url,
    name: 'test',
    logger,
    topology: TOPOLOGY,
    publishDeadlineMs: PATIENCE_MS,
    ...options,
  });
  toClose.push(transport);
  await transport.start();
  return transport;
}

const inbox = (
  transport: RabbitmqTransport,
  options: Omit<ConstructorParameters<typeof Inbox>[2], 'patienceMs'> = {},
  queue = WORK,
): Inbox => new Inbox(transport, queue, { patienceMs: PATIENCE_MS, ...options });

const message = (body: unknown, queue = WORK) => ({
  ...toQueue(queue),
  messageId: String(body),
  body,
  mandatory: true,
});

const numbers = (count: number, from = 0): number[] =>
  Array.from({ length: count }, (_, index) => from + index);

const isReady = async (transport: RabbitmqTransport, ready: boolean): Promise<void> =>
  eventually(() => expect(transport.isReady()).toBe(ready), { timeoutMs: PATIENCE_MS });

/** New channels see the settings. */
async function setForThisTest(
  settings: Readonly<Record<string, Readonly<{ to: number; usually: number }>>>,
): Promise<void> {
  const set = async (which: 'to' | 'usually'): Promise<void> => {
    const terms = Object.entries(settings).map(([name, values]) => {
      const value = String(values[which]);
      // Newer servers read some of them from a copy.
      return `application:set_env(rabbit, ${name}, ${value}),
        persistent_term:get(${name}, none) =/= none andalso persistent_term:put(${name}, ${value})`;
    });
    await server.control('eval', `${terms.join(', ')}.`);
  };
  onTestFinished(async () => set('usually'));
  await set('to');
}

/** Somebody else with access to the server. */
async function bystander(): Promise<{ channel: Channel; end: () => Promise<void> }> {
  const connection = await connect(server.url);
  return { channel: await connection.createChannel(), end: async () => connection.close() };
}

async function oneDeadLetter(transport: RabbitmqTransport): Promise<DeadLetter | undefined> {
  const letters = await transport.deadLetters(10);
  expect(letters).toHaveLength(1);
  return letters[0];
}

/** Each number in the order in which it came first. */
const firsts = (bodies: readonly unknown[]): unknown[] => [...new Set(bodies)];

describe('the network', () => {
  test('a connection that is cut comes back, again and again: nothing confirmed is lost', async () => {
    await clearServer();
    const transport = await started({ url: proxy.urlOf(server.url) });
    const consumer = inbox(transport, { prefetch: 20 });
    const published: Promise<void>[] = [];
    for (const round of numbers(6)) {
      published.push(...numbers(100, round * 100).map(async (n) => transport.publish(message(n))));
      await Promise.race(published.slice(-50));
      proxy.cut();
    }
    await Promise.all(published);
    await eventually(() => expect(firsts(consumer.bodies)).toHaveLength(600), {
      timeoutMs: PATIENCE_MS,
    });
    await consumer.end();
  });

  test('a handler that outlives its channel still counts as running', async () => {
    await clearServer();
    const transport = await started({ url: proxy.urlOf(server.url) });
    const gate = new Gate();
    let running = 0;
    let most = 0;
    const consumer = inbox(transport, {
      prefetch: 3,
      handle: async () => {
        running += 1;
        most = Math.max(most, running);
        await gate.opened;
        running -= 1;
        return 'ack';
      },
    });
    await Promise.all(numbers(10).map(async (n) => transport.publish(message(n))));
    await consumer.has(3);
    for (let cuts = 0; cuts < 2; cuts++) {
      proxy.cut();
      await eventually(async () => {
        const depth = (await transport.queues()).find(({ name }) => name === WORK);
        expect(depth).toMatchObject({ consumers: 1, ready: 7 });
      });
    }
    gate.open();
    await eventually(() => expect(firsts(consumer.bodies)).toHaveLength(10));
    expect(most).toBe(3);
    // The three whose acknowledgements were lost came again; what the second cut took from us was not begun before.
    expect(consumer.received).toHaveLength(13);
    await consumer.end();
  });

  test('a consumer whose connection is cut while it ends still finishes what it has begun', async () => {
    await clearServer();
    const transport = await started({ url: proxy.urlOf(server.url) });
    const gate = new Gate();
    const finished: unknown[] = [];
    const consumer = inbox(transport, {
      handle: async ({ body }) => {
        await gate.opened;
        finished.push(body);
        return 'ack';
      },
    });
    await transport.publish(message('a'));
    await consumer.has(1);
    const ended = consumer.end();
    proxy.cut();
    gate.open();
    await within(PATIENCE_MS, 'the end of a consumer', ended);
    expect(finished).toEqual(['a']);
    expect((await inbox(transport).has(1)).bodies).toEqual(['a']);
  });

  test('when the server does not answer, a message is refused at its deadline and the transport is not ready', async () => {
    await clearServer();
    const transport = await started({ url: proxy.urlOf(server.url), publishDeadlineMs: 300 });
    proxy.pause();
    const failure = transport.publish(message(1));
    await expect(failure).rejects.toBeInstanceOf(NotConfirmed);
    await expect(failure).rejects.toThrow('RabbitMQ did not confirm a message within 300 ms');
    expect(transport.isReady()).toBe(false);
    proxy.resume();
    await isReady(transport, true);
    await transport.publish(message(2));
  });

  test('a silent server is noticed by its missing heartbeats, and its consumers come back', async () => {
    await clearServer();
    const direct = await started();
    const transport = await started({ url: proxy.urlOf(server.url), heartbeatSeconds: 1 });
    const consumer = inbox(transport);
    await direct.publish(message(1));
    await consumer.has(1);
    proxy.pause();
    await isReady(transport, false);
    proxy.resume();
    await direct.publish(message(2));
    // The acknowledgement of the first may have been held up too.
    await eventually(() => expect(firsts(consumer.bodies)).toEqual([1, 2]));
    await isReady(transport, true);
    await consumer.end();
  });

  test('a message whose consumers die of it goes to the dead-letter queue, and can be redriven from there', async () => {
    await clearServer();
    const direct = await started();
    const transport = await started({ url: proxy.urlOf(server.url) });
    await direct.publish({
      exchange: 'x',
      routingKey: 'fragile',
      messageId: 'm-1',
      body: { a: 1 },
      headers: { traceparent: '00-1' },
    });
    const killer = inbox(
      transport,
      {
        handle: async () => {
          proxy.cut();
          return 'ack';
        },
      },
      'fragile',
    );
    const dead = inbox(direct, { handle: async () => 'retry' }, 'dead');
    const [letter] = (await dead.has(1)).received;
    await dead.end();
    await killer.end();
    expect(killer.received.map(({ deliveryCount }) => deliveryCount)).toEqual([0, 1, 2]);
    expect(letter).toMatchObject({ messageId: 'm-1', body: { a: 1 }, routingKey: 'fragile' });
    expect(letter?.headers['x-death']).toMatchObject([
      { reason: 'delivery_limit', queue: 'fragile', exchange: 'x' },
    ]);

    expect(await eventually(async () => oneDeadLetter(direct))).toMatchObject({
      messageId: 'm-1',
      queue: 'fragile',
      routingKey: 'fragile',
      reason: 'Delivered too often without an answer: its consumers were lost each time',
      diedAt: expect.any(Date),
    });
    expect(await direct.redrive(10)).toBe(1);
    const { received } = await inbox(direct, {}, 'fragile').has(1);
    expect(received).toEqual([
      {
        queue: 'fragile',
        routingKey: 'fragile',
        messageId: 'm-1',
        body: { a: 1 },
        headers: { traceparent: '00-1', 'x-routing-key': 'fragile' },
        deliveryCount: 0,
      },
    ]);
  });

  test('64 a queue with a single active consumer keeps its order when that consumer is cut off', async () => {
    await clearServer();
    const direct = await started();
    const transport = await started({ url: proxy.urlOf(server.url) });
    const seen: unknown[] = [];
    const one = inbox(
      transport,
      {
        prefetch: 1,
        handle: async ({ body }) => {
          seen.push(body);
          if (body === 20) proxy.cut();
          return 'ack';
        },
      },
      'in-order',
    );
    await direct.publish(message(0, 'in-order'));
    await one.has(1);
    const handle = async ({ body }: { body: unknown }): Promise<'ack'> => {
      seen.push(body);
      return 'ack';
    };
    const two = inbox(direct, { prefetch: 1, handle }, 'in-order');
    for (const n of numbers(50).slice(1)) await direct.publish(message(n, 'in-order'));
    await eventually(() => expect(seen).toContain(49));
    expect(two.received.length).toBeGreaterThan(0);
    expect(firsts(seen)).toEqual(numbers(50));
    // 20 was handled, and its acknowledgement lost.
    expect(seen.toSorted((a, b) => Number(a) - Number(b))).toEqual([
      ...numbers(21),
      ...numbers(30, 20),
    ]);
    await Promise.all([one.end(), two.end()]);
  });
});

describe('the server takes offence', () => {
  test('66 a queue that is there with other arguments fails the start, loudly', async () => {
    await clearServer();
    const other = await connect(server.url);
    const channel = await other.createChannel();
    await channel.assertQueue(WORK, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3 },
    });
    await other.close();
    const failure = started();
    await expect(failure).rejects.toThrow(
      /^RabbitMQ already has the queue "work" with other properties than Jobledger declares: let it run empty and delete it/,
    );
    await expect(failure).rejects.toMatchObject({ name: 'TopologyMismatch' });
    expect(toClose.at(-1)?.isReady()).toBe(false);
  });

  test('the topology of the product is taken twice, by two processes at once', async () => {
    await clearServer();
    const { TOPOLOGY: product } = await import('../../src/messaging/topology.ts');
    const both = await Promise.all([
      started({ topology: product }),
      started({ topology: product }),
    ]);
    for (const transport of both) {
      await isReady(transport, true);
      expect(await transport.queues()).toHaveLength(product.queues.length);
    }
  });

  test('65 a consumer that is too slow to acknowledge loses its channel and comes back', async () => {
    await clearServer();
    await setForThisTest({
      consumer_timeout: { to: 500, usually: 1_800_000 },
      channel_tick_interval: { to: 200, usually: 60_000 },
    });
    const transport = await started();
    const gate = new Gate();
    const consumer = inbox(transport, {
      prefetch: 2,
      handle: async (_message, earlier) => {
        if (earlier.length === 0) await gate.opened;
        return 'ack';
      },
    });
    await transport.publish(message('slow'));
    const { received } = await consumer.has(2);
    expect(received.map(({ body }) => body)).toEqual(['slow', 'slow']);
    gate.open();
    await transport.publish(message('next'));
    expect((await consumer.has(3)).bodies).toEqual(['slow', 'slow', 'next']);
    await consumer.end();
  });

  test('a consumer whose queue is deleted declares it again and comes back', async () => {
    await clearServer();
    const transport = await started();
    const consumer = inbox(transport);
    await transport.publish(message(1));
    await consumer.has(1);
    const { channel, end } = await bystander();
    await channel.deleteQueue(WORK);
    await eventually(async () => {
      const depth = (await transport.queues()).find(({ name }) => name === WORK);
      expect(depth?.consumers).toBe(1);
    });
    await end();
    await transport.publish(message(2));
    expect((await consumer.has(2)).bodies).toEqual([1, 2]);
    await consumer.end();
  });

  test('an exchange that is deleted is declared again, with its bindings, before the message is', async () => {
    await clearServer();
    const transport = await started();
    const { channel, end } = await bystander();
    await channel.deleteExchange('x');
    await end();
    const toExchange = { exchange: 'x', routingKey: 'work.a', messageId: '1', body: 1 };
    await transport.publish({ ...toExchange, mandatory: true });
    expect((await inbox(transport).has(1)).bodies).toEqual([1]);
  });

  test('when queues and exchanges are deleted under load, their consumers come back too', async () => {
    await clearServer();
    const transport = await started();
    const consumer = inbox(transport);
    for (const round of numbers(5)) {
      const { channel, end } = await bystander();
      await channel.deleteQueue(WORK);
      await channel.deleteExchange('x');
      await end();
      const sent = { exchange: 'x', routingKey: 'work.a', messageId: String(round), body: round };
      await eventually(async () => transport.publish({ ...sent, mandatory: true }));
      await eventually(() => expect(consumer.bodies).toContain(round));
    }
    await consumer.end();
  });

  test('a queue that is deleted while nobody consumes comes back when a message finds it gone', async () => {
    await clearServer();
    const transport = await started();
    const { channel, end } = await bystander();
    await channel.deleteQueue(WORK);
    await end();
    await expect(transport.publish(message(1))).rejects.toBeInstanceOf(Unroutable);
    await eventually(async () => transport.publish(message(2)));
    expect((await inbox(transport).has(1)).bodies).toEqual([2]);
  });

  test('a body that is not JSON is dead, with the reason', async () => {
    await clearServer();
    const transport = await started();
    const other = await connect(server.url);
    const channel = await other.createConfirmChannel();
    channel.publish('x', 'work.a', Buffer.from('{"half'), {});
    await channel.waitForConfirms();
    await other.close();
    const consumer = inbox(transport);
    await transport.publish(message('good'));
    expect((await consumer.has(1)).bodies).toEqual(['good']);
    expect(await eventually(async () => oneDeadLetter(transport))).toMatchObject({
      queue: WORK,
      routingKey: 'work.a',
      reason: 'The body is not JSON',
    });
    // What was looked at is back in its queue a moment after the channel closed.
    await eventually(async () => {
      expect(await transport.redrive(1)).toBe(1);
    });
    await consumer.end();
  });

  test('a message that the server refuses is tried again until its deadline', async () => {
    // A policy of another virtual host cannot outlive this test.
    const url = await server.addVhost('full');
    const hasty = await started({ url, publishDeadlineMs: 500 });
    const patient = await started({ url });
    await server.control('set_policy', '-p', 'full', 'full', `^${WORK}$`, '{"max-length":1}');
    // The queue learns of its limit, and the channel of the full queue, in their own time.
    let confirmed = 0;
    const refusal = await eventually(async () => {
      const failure = await hasty.publish(message(confirmed)).catch((error: unknown) => error);
      confirmed += 1;
      expect(failure).toBeInstanceOf(NotConfirmed);
      return failure as NotConfirmed;
    });
    expect(refusal.message).toBe(
      'RabbitMQ did not accept a message for "work" at the exchange "" within 500 ms',
    );
    expect(hasty.isReady()).toBe(true);
    const held = patient.publish(message('held'));
    const consumer = inbox(patient);
    await held;
    await eventually(() => expect(consumer.bodies).toContain('held'));
    await consumer.end();
  });

  test('a message over the size limit is refused by itself', async () => {
    await clearServer();
    await setForThisTest({ max_message_size: { to: 100_000, usually: 134_217_728 } });
    const transport = await started();
    const outcomes = await Promise.allSettled([
      transport.publish(message('a')),
      transport.publish({ ...message('x'.repeat(100_001)), messageId: 'large' }),
      transport.publish(message('b')),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({
      reason: { name: 'NotConfirmed', message: expect.stringContaining('max_message_size') },
    });
  });

  test('a server short of memory makes the transport not ready, while consumers work on', async () => {
    await clearServer();
    const transport = await started();
    await Promise.all(numbers(20).map(async (n) => transport.publish(message(n))));
    await server.control('set_vm_memory_high_watermark', '0.000001');
    try {
      // The server tells a connection only once it publishes.
      const held = transport.publish(message('held'));
      await isReady(transport, false);
      const later = transport.publish(message('later'));
      const consumer = inbox(transport, { prefetch: 1 });
      await consumer.has(20);
      await server.control('set_vm_memory_high_watermark', '0.4');
      await Promise.all([held, later]);
      await isReady(transport, true);
      expect((await consumer.has(22)).bodies).toEqual([...numbers(20), 'held', 'later']);
      await consumer.end();
    } finally {
      await server.control('set_vm_memory_high_watermark', '0.4');
    }
  });
});

describe('the server goes away', () => {
  test('a server that stops: what waits is published in order when it is back, and consumers go on', async () => {
    await clearServer();
    const transport = await started();
    const hasty = await started({ publishDeadlineMs: 100 });
    const consumer = inbox(transport);
    await transport.publish(message(0));
    await consumer.has(1);
    await server.stop();

    await isReady(transport, false);
    await expect(hasty.publish(message('never'))).rejects.toThrow(
      'RabbitMQ could not be reached within 100 ms',
    );
    await expect(transport.queues()).rejects.toThrow('RabbitMQ is not connected');
    const published = numbers(50, 1).map(async (n) => transport.publish(message(n)));
    const late = await started();
    expect(late.isReady()).toBe(false);
    const waiting = late.publish(message('late', 'in-order'));
    const leaving = await started({ publishDeadlineMs: 200 });
    const [refused] = await within(
      4_000,
      'the end of a transport without a server',
      Promise.allSettled([leaving.publish(message('never')), leaving.close()]),
    );
    expect(refused).toMatchObject({ reason: { name: 'NotConfirmed' } });

    await server.start();
    await Promise.all([...published, waiting]);
    await isReady(transport, true);
    // What was refused for its deadline is not published later.
    await eventually(() => expect(firsts(consumer.bodies)).toEqual(numbers(51)));
    expect((await inbox(late, {}, 'in-order').has(1)).bodies).toEqual(['late']);
    await consumer.end();
  });

  test('a server that is killed in the middle loses nothing that was confirmed', async () => {
    // RabbitMQ 3.10 cannot start a queue again that was deleted, made anew and then killed, all within minutes.
    const url = await server.addVhost('killed');
    const transport = await started({ url });
    const consumer = inbox(transport, { prefetch: 50 });
    const published: Promise<void>[] = [];
    for (const round of numbers(20)) {
      const batch = numbers(50, round * 50).map(async (n) => transport.publish(message(n)));
      published.push(...batch);
      if (round === 10) await server.kill();
      else if (round < 10) await Promise.all(batch);
    }
    await server.start();
    await Promise.all(published);
    await eventually(() => expect(firsts(consumer.bodies)).toHaveLength(1000), {
      timeoutMs: PATIENCE_MS,
    });
    await consumer.end();
  });

  test('a server that lost all it had gets its topology again, and work goes on', async () => {
    await clearServer();
    const transport = await started();
    const consumer = inbox(transport);
    await transport.publish({ exchange: 'x', routingKey: 'work.a', messageId: '1', body: 1 });
    await consumer.has(1);
    await server.wipe();
    await server.start();
    const published = { exchange: 'x', routingKey: 'work.a', messageId: '2', body: 2 };
    await transport.publish({ ...published, mandatory: true });
    expect((await consumer.has(2)).bodies).toEqual([1, 2]);
    await consumer.end();
  });
});
