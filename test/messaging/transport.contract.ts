import { expect } from 'vitest';

import { type Topology, toQueue } from '../../src/messaging/topology.ts';
import { NotConfirmed, type Transport, Unroutable } from '../../src/messaging/transport.ts';
import { eventually } from '../support/eventually.ts';
import { Gate, Inbox, within } from './inbox.ts';

export type TestedTransport = Transport;

/** What a case works with: a queue of its own, `test.<n>`, in a broker that all cases share. */
type Bench = Readonly<{
  transport: TestedTransport;
  /** The same broker as another process sees it. */
  another: () => Promise<TestedTransport>;
  queue: string;
  inbox: (options?: InboxOptions) => Inbox;
  /** Publishes to the queue of this case. */
  send: (body: unknown, options?: Readonly<{ messageId?: string }>) => Promise<void>;
  /** What has come to the dead-letter queue. */
  dead: () => Inbox;
  patienceMs: number;
}>;

type InboxOptions = Omit<ConstructorParameters<typeof Inbox>[2], 'patienceMs'> &
  Readonly<{ of?: TestedTransport }>;

type Case = readonly [name: string, run: (bench: Bench) => Promise<void>];

export type Broker = Readonly<{
  connect: (topology: Topology) => Promise<TestedTransport>;
  patienceMs: number;
}>;

const DELIVERY_LIMIT = 2;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const CASES: readonly Case[] = [
  [
    'a message comes to the consumer of its queue as it was published',
    async ({ transport, queue, inbox }) => {
      await transport.publish({
        exchange: 'test',
        routingKey: `${queue}.created`,
        messageId: 'm-1',
        body: { text: 'größer', list: [1, null, true] },
        headers: { traceparent: '00-1-2-3' },
        mandatory: true,
        priority: 5,
      });
      const { received } = await inbox().has(1);
      expect(received).toEqual([
        {
          queue,
          routingKey: `${queue}.created`,
          messageId: 'm-1',
          body: { text: 'größer', list: [1, null, true] },
          headers: { traceparent: '00-1-2-3' },
          deliveryCount: 0,
        },
      ]);
    },
  ],
  [
    'raw bytes come as they are',
    async ({ transport, queue, inbox }) => {
      const raw = Buffer.from([0, 255, 123, 34, 10]);
      await transport.publish({ ...toQueue(queue), messageId: 'm-1', raw });
      const [message] = (await inbox().has(1)).received;
      expect(message?.raw?.equals(raw)).toBe(true);
      expect(message?.body).toBeUndefined();
    },
  ],
  [
    'a body of 15 MB comes as it was published',
    async ({ send, inbox }) => {
      const body = 'x'.repeat(15_000_000);
      await send(body);
      expect((await inbox().has(1)).received[0]?.body === body).toBe(true);
    },
  ],
  [
    '58 a message that no queue takes is refused if it is mandatory, whatever is published around it',
    async ({ transport, queue, inbox }) => {
      const outcomes = await Promise.allSettled(
        numbers(60).map(async (n) =>
          transport.publish({
            exchange: 'test',
            routingKey: n % 3 === 0 ? 'nobody' : `${queue}.x`,
            // The same id three times: one outcome must not be taken for another.
            messageId: String(Math.floor(n / 3)),
            body: n,
            mandatory: n % 2 === 0,
          }),
        ),
      );
      const refused = outcomes.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []));
      expect(refused).toEqual(numbers(60).filter((n) => n % 6 === 0));
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Unroutable);
      }
      expect((await inbox().has(40)).bodies).toEqual(numbers(60).filter((n) => n % 3 !== 0));
    },
  ],
  [
    'what is not in the topology is refused',
    async ({ transport }) => {
      const lost = { exchange: 'elsewhere', routingKey: 'x', messageId: '1', body: 1 };
      await expect(transport.publish(lost)).rejects.toThrow('not in the topology');
      const consumer = { queue: 'elsewhere', prefetch: 1, handle: async () => 'ack' as const };
      const { signal } = new AbortController();
      await expect(transport.consume(consumer, signal)).rejects.toThrow('not in the topology');
    },
  ],
  [
    'a name that AMQP cannot carry is refused by itself',
    async ({ transport, queue, send, inbox }) => {
      const tooLong = { exchange: 'test', routingKey: 'é'.repeat(128), messageId: '1', body: 1 };
      await expect(transport.publish(tooLong)).rejects.toThrow('256 bytes: the most is 255');
      await transport.publish({ ...toQueue(queue), messageId: 'm'.repeat(255), body: 1 });
      await send(2);
      expect((await inbox().has(2)).bodies).toEqual([1, 2]);
    },
  ],
  [
    'a queue keeps its order, published with or without waiting',
    async ({ send, inbox }) => {
      const first = numbers(100);
      await Promise.all(first.map(async (n) => send(n)));
      for (const n of [100, 101, 102]) await send(n);
      const { bodies } = await inbox({ prefetch: 7 }).has(103);
      expect(bodies).toEqual([...first, 100, 101, 102]);
    },
  ],
  [
    'no more than prefetch messages are out at a time',
    async ({ send, inbox }) => {
      let running = 0;
      let most = 0;
      const gate = new Gate();
      const consumer = inbox({
        prefetch: 3,
        handle: async () => {
          running += 1;
          most = Math.max(most, running);
          await gate.opened;
          running -= 1;
          return 'ack';
        },
      });
      await Promise.all(numbers(10).map(async (n) => send(n)));
      await consumer.has(3);
      gate.open();
      await consumer.has(10);
      expect(most).toBe(3);
    },
  ],
  [
    'what is acknowledged does not come again',
    async ({ transport, queue, send, inbox }) => {
      await Promise.all([send('a'), send('b')]);
      const first = await inbox().has(2);
      await first.end();
      await send('c');
      expect((await inbox().has(1)).bodies).toEqual(['c']);
      const depth = (await transport.queues()).find(({ name }) => name === queue);
      expect(depth?.ready).toBe(0);
    },
  ],
  [
    'a message to retry comes again, and is counted',
    async ({ send, inbox }) => {
      await send('again');
      const consumer = inbox({
        handle: async ({ deliveryCount }) => (deliveryCount === 0 ? 'retry' : 'ack'),
      });
      const { received } = await consumer.has(2);
      expect(received.map(({ body, deliveryCount }) => [body, deliveryCount])).toEqual([
        ['again', 0],
        ['again', 1],
      ]);
    },
  ],
  [
    'a message to retry comes before those behind it',
    async ({ send, inbox }) => {
      await Promise.all([send(1), send(2), send(3)]);
      const consumer = inbox({
        prefetch: 1,
        handle: async ({ body, deliveryCount }) =>
          body === 2 && deliveryCount === 0 ? 'retry' : 'ack',
      });
      expect((await consumer.has(4)).bodies).toEqual([1, 2, 2, 3]);
    },
  ],
  [
    'a message whose handler throws comes again',
    async ({ send, inbox }) => {
      await send('again');
      const consumer = inbox({
        handle: async (_message, earlier) => {
          if (earlier.length === 0) throw new Error('the first time fails');
          return 'ack';
        },
      });
      expect((await consumer.has(2)).bodies).toEqual(['again', 'again']);
    },
  ],
  [
    '62 a message that is never handled is dead after the delivery limit, with what was wrong at last',
    async ({ queue, send, inbox, dead }) => {
      await send('poison');
      const consumer = inbox({
        handle: async ({ deliveryCount }) => {
          throw new Error(`failure ${String(deliveryCount)}`);
        },
      });
      const [letter] = (await dead().has(1)).received;
      expect(consumer.received).toHaveLength(DELIVERY_LIMIT + 1);
      expect(letter?.body).toBe('poison');
      expect(letter?.headers['x-dead-reason']).toBe(
        'Delivered 3 times and never handled; at last: failure 2',
      );
      expect(letter?.headers['x-dead-queue']).toBe(queue);
    },
  ],
  [
    'a message declared dead says why and where it was, and does not come again',
    async ({ transport, queue, inbox, dead }) => {
      const routingKey = `${queue}.created`;
      await transport.publish({ exchange: 'test', routingKey, messageId: 'm-1', body: { a: 1 } });
      const consumer = inbox({ handle: async () => ({ dead: 'no such job' }) });
      const [letter] = (await dead().has(1)).received;
      expect(letter).toMatchObject({ messageId: 'm-1', routingKey, body: { a: 1 } });
      expect(letter?.headers).toMatchObject({
        'x-dead-reason': 'no such job',
        'x-dead-exchange': 'test',
        'x-dead-routing-key': routingKey,
        'x-dead-queue': queue,
      });
      expect(consumer.received).toHaveLength(1);
    },
  ],
  [
    'a redriven message comes to the queue where it died as if for the first time',
    async (bench) => {
      const { transport, queue, inbox } = bench;
      const routingKey = `${queue}.created`;
      for (const n of [1, 2, 3]) {
        await transport.publish({ exchange: 'test', routingKey, messageId: String(n), body: n });
      }
      const killer = inbox({ handle: async () => ({ dead: 'a mistake' }) });
      await killer.has(3);
      await killer.end();
      await expectReady(bench, 'test.dead', 3);
      expect(await transport.redrive(2)).toBe(2);
      expect(await transport.redrive(100)).toBe(1);
      expect(await transport.redrive(100)).toBe(0);
      const { received } = await inbox().has(3);
      expect(received).toEqual(
        [1, 2, 3].map((n) => ({
          queue,
          routingKey,
          messageId: String(n),
          body: n,
          headers: { 'x-routing-key': routingKey },
          deliveryCount: 0,
        })),
      );
    },
  ],
  [
    'dead letters can be looked at, and stay where they are',
    async (bench) => {
      const { transport, queue, inbox, dead } = bench;
      for (const n of [1, 2, 3]) {
        const routingKey = `${queue}.${String(n)}`;
        await transport.publish({ exchange: 'test', routingKey, messageId: String(n), body: n });
      }
      inbox({ prefetch: 1, handle: async ({ body }) => ({ dead: `reason ${String(body)}` }) });
      await expectReady(bench, 'test.dead', 3);
      expect(await transport.deadLetters(2)).toEqual(
        [1, 2].map((n) => ({
          messageId: String(n),
          queue,
          routingKey: `${queue}.${String(n)}`,
          reason: `reason ${String(n)}`,
          diedAt: expect.any(Date),
          body: String(n),
        })),
      );
      const { bodies } = await dead().has(3);
      expect(bodies.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3]);
    },
  ],
  [
    'a message that dies again after a redrive still says where it came from',
    async (bench) => {
      const { transport, queue, inbox, dead } = bench;
      const routingKey = `${queue}.created`;
      await transport.publish({ exchange: 'test', routingKey, messageId: '1', body: 1 });
      inbox({ handle: async () => ({ dead: 'hopeless' }) });
      await expectReady(bench, 'test.dead', 1);
      await transport.redrive(1);
      await expectReady(bench, 'test.dead', 1);
      const [letter] = (await dead().has(1)).received;
      expect(letter?.headers['x-dead-routing-key']).toBe(routingKey);
      expect(letter?.headers['x-dead-reason']).toBe('hopeless');
    },
  ],
  [
    'a consumer that is asked to end finishes what it has begun, and begins nothing more',
    async ({ send, inbox, patienceMs }) => {
      const gate = new Gate();
      const finished: unknown[] = [];
      const consumer = inbox({
        prefetch: 2,
        handle: async ({ body }) => {
          await gate.opened;
          finished.push(body);
          return 'ack';
        },
      });
      await Promise.all(numbers(5).map(async (n) => send(n)));
      await consumer.has(2);
      let hasEnded = false;
      const ended = consumer.end().finally(() => {
        hasEnded = true;
      });
      // A later consumer gets the rest while the first still works: it is not asked to hand over what it has.
      const { bodies } = await inbox({ prefetch: 1 }).has(3);
      expect(bodies).toEqual([2, 3, 4]);
      expect(hasEnded).toBe(false);
      gate.open();
      await within(patienceMs, 'the end of a consumer', ended);
      expect(finished).toEqual([0, 1]);
    },
  ],
  [
    'a consumer that is asked to end begins nothing of what is on its way to it',
    async ({ transport, queue, send, inbox, patienceMs }) => {
      await Promise.all(numbers(100).map(async (n) => send(n)));
      const stopping = new AbortController();
      const begun: unknown[] = [];
      const handle = async ({ body }: { body: unknown }): Promise<'ack'> => {
        begun.push(body);
        if (begun.length === 5) stopping.abort();
        return 'ack';
      };
      const consuming = transport.consume({ queue, prefetch: 20, handle }, stopping.signal);
      await within(patienceMs, 'the end of a consumer', consuming);
      expect(begun).toEqual(numbers(5));
      const { received } = await inbox({ prefetch: 1 }).has(95);
      expect(new Set(received.map(({ body }) => body))).toEqual(new Set(numbers(100).slice(5)));
    },
  ],
  [
    'a consumer that waits to retry a message gives it back at once when asked to end',
    async ({ send, inbox, patienceMs }) => {
      await send('a');
      const consumer = inbox({ handle: async () => 'retry' });
      await consumer.has(1);
      await within(patienceMs, 'the end of a consumer', consumer.end());
      expect((await inbox().has(1)).bodies).toEqual(['a']);
    },
  ],
  [
    'a consumer whose signal has aborted before takes nothing',
    async ({ transport, queue, send, inbox, patienceMs }) => {
      await send('a');
      const handle = async (): Promise<never> => Promise.reject(new Error('must not be called'));
      const consuming = transport.consume({ queue, prefetch: 1, handle }, AbortSignal.abort());
      await within(patienceMs, 'the end of a consumer', consuming);
      const { received } = await inbox().has(1);
      expect(received[0]?.deliveryCount).toBe(0);
    },
  ],
  [
    'consumers of one queue share its messages, each with one of them',
    async ({ another, send, inbox }) => {
      const gate = new Gate();
      const handle = async (): Promise<'ack'> => {
        await gate.opened;
        return 'ack';
      };
      const one = inbox({ prefetch: 5, handle });
      const two = inbox({ prefetch: 5, handle, of: await another() });
      await Promise.all(numbers(10).map(async (n) => send(n)));
      await Promise.all([one.has(5), two.has(5)]);
      gate.open();
      const all = [...one.bodies, ...two.bodies].map(Number).toSorted((a, b) => a - b);
      expect(all).toEqual(numbers(10));
    },
  ],
  [
    'when one of two consumers ends, the other gets all that is left',
    async ({ another, send, inbox }) => {
      const one = inbox({ prefetch: 1 });
      const two = inbox({ prefetch: 1, of: await another() });
      await Promise.all(numbers(20).map(async (n) => send(n)));
      await one.has(1);
      await one.end();
      await two.has(20 - one.received.length);
      const all = [...one.bodies, ...two.bodies].map(Number).toSorted((a, b) => a - b);
      expect(all).toEqual(numbers(20));
    },
  ],
  [
    '64 a queue with a single active consumer keeps its order when that consumer ends',
    async ({ transport, another, patienceMs }) => {
      const queue = 'test.in-order';
      const gate = new Gate();
      const seen: unknown[] = [];
      const handle = async ({ body }: { body: unknown }): Promise<'ack'> => {
        seen.push(body);
        if (seen.length === 5) gate.open();
        return 'ack';
      };
      const one = new Inbox(transport, queue, { patienceMs, prefetch: 1, handle });
      await transport.publish({ ...toQueue(queue), messageId: '0', body: 0 });
      await one.has(1);
      const two = new Inbox(await another(), queue, { patienceMs, prefetch: 1, handle });
      await Promise.all(
        numbers(200)
          .slice(1)
          .map(async (body) =>
            transport.publish({ ...toQueue(queue), messageId: String(body), body }),
          ),
      );
      await within(patienceMs, 'the first five', gate.opened);
      expect(two.received).toEqual([]);
      // Deliveries are on their way to it now.
      await one.end();
      await two.has(200 - one.received.length);
      expect(seen).toEqual(numbers(200));
      await two.end();
    },
  ],
  [
    'the depth of a queue is what waits in it, and who listens',
    async ({ transport, queue, send, inbox }) => {
      await Promise.all([send(1), send(2), send(3)]);
      const depth = async () =>
        (await transport.queues()).find(({ name }) => name === queue) ?? null;
      expect(await depth()).toMatchObject({ ready: 3, consumers: 0 });
      const gate = new Gate();
      const consumer = inbox({
        prefetch: 1,
        handle: async () => {
          await gate.opened;
          return 'ack';
        },
      });
      await consumer.has(1);
      expect(await depth()).toMatchObject({ ready: 2, consumers: 1 });
      gate.open();
    },
  ],
  [
    'a transport that closes ends its consumers, sees through what it publishes and takes nothing more',
    async ({ another, queue, send, patienceMs }) => {
      const closing = await another();
      expect(closing.isReady()).toBe(true);
      const gate = new Gate();
      const finished: unknown[] = [];
      const consumer = new Inbox(closing, queue, {
        patienceMs,
        prefetch: 1,
        handle: async ({ body }) => {
          await gate.opened;
          finished.push(body);
          return 'ack';
        },
      });
      await send('a');
      await consumer.has(1);
      const early = Promise.all(
        numbers(300).map(async (n) =>
          closing.publish({ ...toQueue(queue), messageId: String(n), body: n, mandatory: true }),
        ),
      );
      const closed = closing.close();
      const late = { ...toQueue(queue), messageId: '1', body: 1 };
      await expect(closing.publish(late)).rejects.toBeInstanceOf(NotConfirmed);
      gate.open();
      await within(patienceMs, 'the end of a transport', closed);
      await early;
      expect(finished).toEqual(['a']);
      expect(closing.isReady()).toBe(false);
    },
  ],
];

const queueOf = (index: number): string => `test.${String(index)}`;

const TOPOLOGY: Topology = {
  exchanges: [
    { name: 'test', type: 'topic' },
    { name: 'test.dlx', type: 'topic' },
  ],
  queues: [
    {
      name: 'test.dead',
      bindings: [{ exchange: 'test.dlx', routingKey: '#' }],
      deliveryLimit: 1000,
    },
    { name: 'test.in-order', bindings: [], deliveryLimit: 1000, singleActiveConsumer: true },
    ...CASES.map((_case, index) => ({
      name: queueOf(index),
      bindings: [{ exchange: 'test', routingKey: `${queueOf(index)}.#` }],
      deliveryLimit: DELIVERY_LIMIT,
    })),
  ],
  deadLetters: { exchange: 'test.dlx', queue: 'test.dead' },
};

/** What every transport must do; `expectOf` rejects when it does not. One case runs at a time: they share the dead letters. */
export const contract: readonly Readonly<{
  name: string;
  expectOf: (broker: Broker) => Promise<void>;
}>[] = CASES.map(([name, run], index) => ({
  name,
  expectOf: async ({ connect, patienceMs }) => {
    const transports: TestedTransport[] = [];
    const another = async (): Promise<TestedTransport> => {
      const transport = await connect(TOPOLOGY);
      transports.push(transport);
      return transport;
    };
    const transport = await another();
    const queue = queueOf(index);
    try {
      await run({
        transport,
        another,
        queue,
        patienceMs,
        inbox: ({ of = transport, ...options } = {}) =>
          new Inbox(of, queue, { ...options, patienceMs }),
        send: async (body, { messageId = String(body).slice(0, 20) } = {}) =>
          transport.publish({ ...toQueue(queue), messageId, body, mandatory: true }),
        dead: () => new Inbox(transport, 'test.dead', { patienceMs }),
      });
    } finally {
      await Promise.all(transports.map(async (each) => each.close()));
    }
  },
}));

async function expectReady(bench: Bench, queue: string, ready: number): Promise<void> {
  await eventually(
    async () => {
      const depth = (await bench.transport.queues()).find(({ name }) => name === queue);
      expect(depth?.ready).toBe(ready);
    },
    { timeoutMs: bench.patienceMs },
  );
}
