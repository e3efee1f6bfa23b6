import type { ChannelModel } from 'amqplib';

import type { Logger } from '../platform/logger.ts';
import { linked } from './abort.ts';
import { type Parcel, pack } from './parcel.ts';
import { attempt, openChannel, settledWithin } from './rabbitmq-channel.ts';
import { RabbitmqConnection } from './rabbitmq-connection.ts';
import { RabbitmqConsumer } from './rabbitmq-consumer.ts';
import { peek, redrive } from './rabbitmq-dead-letters.ts';
import { RabbitmqPublisher } from './rabbitmq-publisher.ts';
import { takersOf } from './routing.ts';
import { TOPOLOGY, type Topology } from './topology.ts';
import {
  type Consumer,
  type DeadLetter,
  NotConfirmed,
  type OutgoingMessage,
  type QueueDepth,
  type Transport,
  Unroutable,
} from './transport.ts';

/** `queues` and `redrive` fail when the server stays away this long. */
const CONNECTED_WITHIN_MS = 2_000;

export type RabbitmqOptions = Readonly<{
  url: string;
  /** Of the process; shown in the server's list of connections. */
  name: string;
  logger: Logger;
  /** How long a publication may wait for the server and its confirm. */
  publishDeadlineMs?: number;
  heartbeatSeconds?: number;
  topology?: Topology;
}>;

/**
 * The transport over RabbitMQ. It publishes over one connection and consumes over another, because a server short of
 * memory or disk stops reading from publishers, and would not see the acknowledgements that make room again.
 */
export class RabbitmqTransport implements Transport {
  readonly isDurable = true;
  private readonly topology: Topology;
  private readonly logger: Logger;
  private readonly publishing: RabbitmqConnection;
  private readonly consuming: RabbitmqConnection;
  private readonly publisher: RabbitmqPublisher;
  private readonly exchanges: ReadonlySet<string>;
  private readonly consumers = new Set<Promise<void>>();
  private readonly loops: Promise<void>[] = [];
  private readonly outstanding = new Set<Promise<void>>();
  private readonly closing = new AbortController();
  private readonly closed = new AbortController();
  private consumes = false;

  constructor(options: RabbitmqOptions) {
    const { url, name, logger, heartbeatSeconds = 10, topology = TOPOLOGY } = options;
    const common = { url, heartbeatSeconds, topology, logger };
    this.topology = topology;
    this.logger = logger;
    this.exchanges = new Set(['', ...topology.exchanges.map((exchange) => exchange.name)]);
    this.publishing = new RabbitmqConnection({ ...common, name: `jobledger ${name} publisher` });
    this.consuming = new RabbitmqConnection({ ...common, name: `jobledger ${name} consumer` });
    this.publisher = new RabbitmqPublisher({
      connection: this.publishing,
      onMissing: () => this.reset(),
      deadlineMs: options.publishDeadlineMs ?? 5_000,
      logger,
    });
  }

  /**
   * Begins to connect and resolves after the first attempt: connected, or the server is away and we go on trying.
   * Rejects with `TopologyMismatch` when the server has one of our queues with other properties.
   */
  async start(): Promise<void> {
    this.loops.push(
      this.publishing.run(this.closed.signal),
      this.publisher.run(this.closed.signal),
    );
    await this.publishing.firstAttempt;
    if (this.publishing.takesMessages()) {
      await settledWithin(CONNECTED_WITHIN_MS, this.publisher.firstReady);
    }
  }

  async publish(message: OutgoingMessage): Promise<void> {
    if (this.closing.signal.aborted) throw new NotConfirmed('The transport is closed');
    if (!this.exchanges.has(message.exchange)) {
      throw new Error(`The exchange "${message.exchange}" is not in the topology: add it there`);
    }
    await this.send(pack(message));
  }

  async consume(consumer: Consumer, signal: AbortSignal): Promise<void> {
    if (!this.topology.queues.some(({ name }) => name === consumer.queue)) {
      throw new Error(`The queue "${consumer.queue}" is not in the topology: add it there`);
    }
    this.startConsuming();
    const ending = linked(signal, this.closing.signal);
    const running = new RabbitmqConsumer(consumer, {
      connection: this.consuming,
      publish: (parcel) => this.send(parcel),
      onMissing: () => this.reset(),
      topology: this.topology,
      logger: this.logger,
    }).run(ending.signal);
    this.consumers.add(running);
    await running;
    ending.release();
    this.consumers.delete(running);
  }

  isReady(): boolean {
    return this.publisher.isReady();
  }

  async queues(): Promise<readonly QueueDepth[]> {
    const model = await this.connected();
    const { channel, close } = await openChannel(() => model.createChannel());
    try {
      const depths: QueueDepth[] = [];
      for (const { name } of this.topology.queues) {
        const { messageCount, consumerCount } = await channel.checkQueue(name);
        depths.push({ name, ready: messageCount, unacknowledged: null, consumers: consumerCount });
      }
      return depths;
    } finally {
      await close();
    }
  }

  async depth(queue: string): Promise<number> {
    const model = await this.connected();
    const { channel, close } = await openChannel(() => model.createChannel());
    try {
      return (await channel.checkQueue(queue)).messageCount;
    } finally {
      await close();
    }
  }

  async redrive(limit: number): Promise<number> {
    const model = await this.connected();
    return redrive(model, {
      queue: this.topology.deadLetters.queue,
      limit,
      publish: (parcel) => this.send(parcel),
    });
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    return peek(await this.connected(), { queue: this.topology.deadLetters.queue, limit });
  }

  /** Ends the consumers, waits for what is being published, and closes the connections. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.consumers);
    await Promise.all([...this.outstanding].map((sent) => attempt(() => sent)));
    this.closed.abort();
    await Promise.all(this.loops);
  }

  private async connected(): Promise<ChannelModel> {
    try {
      return await this.publishing.whenOpen(AbortSignal.timeout(CONNECTED_WITHIN_MS));
    } catch (error) {
      throw new Error('RabbitMQ is not connected', { cause: error });
    }
  }

  /** A process that only publishes has one connection. */
  private startConsuming(): void {
    if (this.consumes) return;
    this.consumes = true;
    this.loops.push(this.consuming.run(this.closed.signal));
  }

  /** A consumer of a deleted queue can stay attached to nothing when the queue is made anew, so both connect again. */
  private reset(): void {
    this.publishing.reset();
    this.consuming.reset();
  }

  private async send(parcel: Parcel): Promise<void> {
    const sent = this.publisher.publish(parcel);
    this.outstanding.add(sent);
    try {
      await sent;
    } catch (error) {
      const isQueueGone = error instanceof Unroutable && takersOf(this.topology, parcel).length > 0;
      if (isQueueGone) this.reset();
      throw error;
    } finally {
      this.outstanding.delete(sent);
    }
  }
}
