import {
  type Channel,
  type ConsumeMessage,
  IllegalOperationError,
  type MessageProperties,
} from 'amqplib';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { whenAborted } from './abort.ts';
import { bury } from './dead-letter.ts';
import { type Delivery, handleDelivery } from './delivery.ts';
import { type Parcel, unpack } from './parcel.ts';
import { parcelOf } from './rabbitmq-message.ts';
import { type OpenChannel, attempt, openChannel } from './rabbitmq-channel.ts';
import type { RabbitmqConnection } from './rabbitmq-connection.ts';
import type { Topology } from './topology.ts';
import type { Consumer } from './transport.ts';

const NOT_FOUND = 404;

type Received = Readonly<{ message: ConsumeMessage; from: OpenChannel<Channel> }>;

/** One consumer on a channel of its own, which is opened again whenever it is lost. */
export class RabbitmqConsumer {
  private readonly consumer: Consumer;
  private readonly connection: RabbitmqConnection;
  private readonly publish: (parcel: Parcel) => Promise<void>;
  private readonly onMissing: () => void;
  private readonly topology: Topology;
  private readonly deliveryLimit: number;
  private readonly keepsOrder: boolean;
  private readonly logger: Logger;
  private readonly running = new Set<Promise<void>>();
  /** Received while handlers of a lost channel still fill the places. */
  private readonly backlog: Received[] = [];

  constructor(
    consumer: Consumer,
    options: {
      connection: RabbitmqConnection;
      publish: (parcel: Parcel) => Promise<void>;
      /** The queue is not there. */
      onMissing: () => void;
      topology: Topology;
      logger: Logger;
    },
  ) {
    this.consumer = consumer;
    this.connection = options.connection;
    this.publish = options.publish;
    this.onMissing = options.onMissing;
    this.topology = options.topology;
    const definition = this.topology.queues.find(({ name }) => name === consumer.queue);
    this.deliveryLimit = definition?.deliveryLimit ?? Number.POSITIVE_INFINITY;
    this.keepsOrder = definition?.singleActiveConsumer ?? false;
    this.logger = options.logger;
  }

  /** Consumes until `signal` aborts and every running handler has ended and is answered for. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue } = this.consumer;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.consumeOnce(signal, () => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) break;
        this.logger.warn({ err: error, queue }, 'a consumer lost its channel; it comes back');
        if (isNotFound(error)) this.onMissing();
      }
      failures += 1;
      await pause(backoffMs(failures), signal);
    }
    await Promise.all(this.running);
  }

  /** Resolves when the consumer has been ended by `signal`; rejects when it has lost its channel or its queue. */
  private async consumeOnce(signal: AbortSignal, onConsuming: () => void): Promise<void> {
    const model = await this.connection.whenOpen(signal);
    const from = await openChannel(() => model.createChannel());
    const { aborted, release } = whenAborted(signal);
    try {
      await from.channel.prefetch(this.consumer.prefetch);
      const { consumerTag } = await from.channel.consume(this.consumer.queue, (message) => {
        if (message === null) this.endedByServer(from);
        else this.receive({ message, from }, signal);
      });
      onConsuming();
      const reason = await Promise.race([from.closed, aborted]);
      if (!signal.aborted) throw reason ?? new Error('The channel was closed');
      if (!this.keepsOrder) {
        await attempt(() => Promise.race([from.channel.cancel(consumerTag), from.closed]));
        for (const received of this.backlog.splice(0)) giveBack(received);
      }
      await Promise.all(this.running);
    } finally {
      release();
      await from.close();
    }
  }

  /** The queue is gone, for one: the next attempt finds out and declares it. */
  private endedByServer(from: OpenChannel<Channel>): void {
    this.logger.warn({ queue: this.consumer.queue }, 'RabbitMQ ended a consumer');
    void from.close();
  }

  private receive(received: Received, signal: AbortSignal): void {
    if (signal.aborted) this.decline(received);
    else if (this.running.size < this.consumer.prefetch) this.start(received, signal);
    else this.backlog.push(received);
  }

  /**
   * Where order counts, what is not begun stays with us until the channel is closed: that returns it before the next
   * consumer gets anything, while messages given back one by one would come after what that has got already.
   */
  private decline(received: Received): void {
    if (!this.keepsOrder) giveBack(received);
  }

  private start(received: Received, signal: AbortSignal): void {
    const delivery = this.delivery(received, signal);
    const context = { signal, logger: this.logger };
    const handling = handleDelivery(delivery, this.consumer, context).finally(() => {
      this.running.delete(handling);
      this.startNext(signal);
    });
    this.running.add(handling);
  }

  private startNext(signal: AbortSignal): void {
    const received = this.backlog.shift();
    if (received === undefined) return;
    // What came over a channel that is lost is delivered again.
    if (received.from.isOpen()) this.receive(received, signal);
    else this.startNext(signal);
  }

  private delivery({ message, from }: Received, signal: AbortSignal): Delivery {
    const { queue } = this.consumer;
    const parcel = parcelOf(message);
    const deliveryCount = deliveryCountOf(message.properties);
    return {
      open: () => unpack(parcel, { queue, deliveryCount }),
      deliveryCount,
      deliveryLimit: this.deliveryLimit,
      ack: () => ifOpen(from, (channel) => channel.ack(message)),
      retry: () => {
        // What is rejected comes back to us before the channel is closed, and after what came instead of it.
        if (this.keepsOrder && signal.aborted) return;
        // A reject counts as a delivery that failed; from RabbitMQ 4.3 on a nack does not.
        ifOpen(from, (channel) => channel.reject(message, true));
      },
      bury: (reason) => this.publish(bury(parcel, { topology: this.topology, queue, reason })),
    };
  }
}

function giveBack({ message, from }: Received): void {
  ifOpen(from, (channel) => channel.nack(message, false, true));
}

/** What a lost channel held is delivered again: there is nothing to answer for. */
function ifOpen({ channel, isOpen }: OpenChannel<Channel>, act: (channel: Channel) => void): void {
  if (!isOpen()) return;
  try {
    act(channel);
  } catch (error) {
    if (!(error instanceof IllegalOperationError)) throw error;
  }
}

/** The server counts only from the first redelivery on. */
function deliveryCountOf({ headers }: MessageProperties): number {
  const count: unknown = headers?.['x-delivery-count'] ?? headers?.['x-acquired-count'];
  return typeof count === 'number' ? count : 0;
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === NOT_FOUND;
}
