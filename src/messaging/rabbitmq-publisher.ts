import { type ConfirmChannel, IllegalOperationError, type Message } from 'amqplib';

import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { whenAborted } from './abort.ts';
import { Fifo } from './fifo.ts';
import type { Parcel } from './parcel.ts';
import { type ChannelError, openChannel } from './rabbitmq-channel.ts';
import type { RabbitmqConnection } from './rabbitmq-connection.ts';
import { publishOptions } from './rabbitmq-message.ts';
import { NotConfirmed, Unroutable } from './transport.ts';

/** Messages sent and not confirmed yet: enough to hide the round trip, few enough to be sent again after a loss. */
const WINDOW = 256;
const NOT_FOUND = 404;

type Outgoing = {
  readonly parcel: Parcel;
  readonly settle: (failure?: Error) => void;
  settled: boolean;
  /** `sent`: over the present channel, and not answered. `refused`: to be sent again in a moment. */
  state: 'waiting' | 'sent' | 'refused';
  /** No queue took it. */
  returned: boolean;
  /** How often the server has refused it. */
  refusals: number;
};

/**
 * Publishes in order over one confirm channel. What is not confirmed when the channel is lost is published again, in
 * the same order, before anything newer; what the server refuses is tried again a little later, behind newer ones.
 * Each message has its own deadline.
 */
export class RabbitmqPublisher {
  /** Resolves when messages can be published for the first time. */
  readonly firstReady: Promise<void>;
  private readonly connection: RabbitmqConnection;
  private readonly onMissing: () => void;
  private readonly deadlineMs: number;
  private readonly logger: Logger;
  /** In order of publication. */
  private readonly waiting = new Fifo<Outgoing>();
  /** By the sequence that each message carries, so that one that comes back is known whatever its id. */
  private readonly inFlight = new Map<string, Outgoing>();
  private sequence = 0;
  private channel: ConfirmChannel | null = null;
  /** A message was sent and its deadline passed: the server does not answer. */
  private stalled = false;
  private becomeReady: () => void = () => undefined;

  constructor(options: {
    connection: RabbitmqConnection;
    /** An exchange is not there. */
    onMissing: () => void;
    deadlineMs: number;
    logger: Logger;
  }) {
    this.connection = options.connection;
    this.onMissing = options.onMissing;
    this.deadlineMs = options.deadlineMs;
    this.logger = options.logger;
    this.connection.onUnblocked(() => this.flush());
    this.firstReady = new Promise((resolve) => {
      this.becomeReady = resolve;
    });
  }

  isReady(): boolean {
    return this.channel !== null && this.connection.takesMessages() && !this.stalled;
  }

  publish(parcel: Parcel): Promise<void> {
    return new Promise((resolve, reject) => {
      const expire = setTimeout(() => this.expire(outgoing), this.deadlineMs);
      const outgoing: Outgoing = {
        parcel,
        settled: false,
        state: 'waiting',
        returned: false,
        refusals: 0,
        settle: (failure) => {
          if (outgoing.settled) return;
          outgoing.settled = true;
          clearTimeout(expire);
          if (failure === undefined) resolve();
          else reject(failure);
        },
      };
      this.waiting.push(outgoing);
      this.flush();
    });
  }

  /** Keeps a channel open until `signal` aborts; what is unconfirmed then is rejected. Never rejects itself. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const startedAt = performance.now();
      try {
        await this.holdChannel(signal);
      } catch (error) {
        if (!signal.aborted) this.logger.warn({ err: error }, 'the publishing channel was lost');
      }
      if (performance.now() - startedAt > this.deadlineMs) failures = 0;
      await pause(backoffMs(failures + 1), signal);
    }
    this.takeBack();
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      next.settle(new NotConfirmed('The transport is closed'));
    }
  }

  private async holdChannel(signal: AbortSignal): Promise<void> {
    const model = await this.connection.whenOpen(signal);
    const { channel, closed, close } = await openChannel(() => model.createConfirmChannel());
    const { aborted, release } = whenAborted(signal);
    channel.on('return', (message) => this.returned(message));
    this.channel = channel;
    this.stalled = false;
    this.becomeReady();
    this.flush();
    try {
      const reason = await Promise.race([closed, aborted]);
      this.channel = null;
      if (reason) this.recoverFrom(reason);
    } finally {
      release();
      this.takeBack();
      await close();
    }
  }

  private recoverFrom(reason: ChannelError): void {
    this.logger.warn({ err: reason }, 'RabbitMQ closed the publishing channel');
    if (/message size .* larger/.test(reason.message)) this.refuseLargest(reason);
    if (reason.code === NOT_FOUND) this.onMissing();
  }

  /** A message over the server's limit costs the whole channel: it must not be sent again with the others. */
  private refuseLargest({ message }: ChannelError): void {
    const [first, ...others] = this.inFlight.values();
    if (first === undefined) return;
    const largest = others.reduce(larger, first);
    const bytes = String(largest.parcel.content.length);
    largest.settle(
      new NotConfirmed(
        `A message of ${bytes} bytes is over RabbitMQ's max_message_size: ${message}`,
      ),
    );
  }

  /** What was sent and not confirmed goes before what was never sent. */
  private takeBack(): void {
    this.channel = null;
    const unconfirmed = [...this.inFlight.values()].filter(({ settled }) => !settled);
    this.inFlight.clear();
    for (const outgoing of unconfirmed) outgoing.state = 'waiting';
    this.waiting.prepend(unconfirmed);
  }

  private flush(): void {
    while (this.channel !== null && this.connection.takesMessages()) {
      if (this.inFlight.size >= WINDOW) return;
      const outgoing = this.waiting.shift();
      if (outgoing === undefined) return;
      if (!outgoing.settled) this.send(this.channel, outgoing);
    }
  }

  private send(channel: ConfirmChannel, outgoing: Outgoing): void {
    const { exchange, routingKey, content } = outgoing.parcel;
    this.sequence += 1;
    const sequence = String(this.sequence);
    outgoing.returned = false;
    outgoing.state = 'sent';
    this.inFlight.set(sequence, outgoing);
    try {
      const options = publishOptions(outgoing.parcel, sequence);
      channel.publish(exchange, routingKey, content, options, (error) => {
        this.answered(sequence, error);
      });
    } catch (error) {
      // A channel that is gone is noticed by `holdChannel`, which takes the message back.
      if (error instanceof IllegalOperationError) return;
      this.inFlight.delete(sequence);
      outgoing.settle(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** RabbitMQ sends a message back before it confirms it. */
  private returned(message: Message): void {
    const outgoing = this.inFlight.get(String(message.properties.correlationId));
    if (outgoing !== undefined) outgoing.returned = true;
  }

  private answered(sequence: string, error: Error | null): void {
    // Any other failure is the loss of the channel, after which the message is published again.
    const refused = error?.message === 'message nacked';
    if (error !== null && !refused) return;
    const outgoing = this.inFlight.get(sequence);
    if (outgoing === undefined) return;
    this.inFlight.delete(sequence);
    this.stalled = false;
    if (refused) this.sendAgain(outgoing);
    else if (outgoing.returned) {
      outgoing.settle(new Unroutable(`No queue takes ${addressOf(outgoing)}`));
    } else outgoing.settle();
    this.flush();
  }

  /** A quorum queue refuses what comes before it has elected a leader, and when it is full: both may pass. */
  private sendAgain(outgoing: Outgoing): void {
    outgoing.state = 'refused';
    outgoing.refusals += 1;
    setTimeout(() => {
      this.waiting.push(outgoing);
      this.flush();
    }, backoffMs(outgoing.refusals)).unref();
  }

  private expire(outgoing: Outgoing): void {
    this.stalled ||= outgoing.state === 'sent';
    outgoing.settle(
      new NotConfirmed(`${this.whyLate(outgoing)} within ${String(this.deadlineMs)} ms`),
    );
    // Messages expire in the order in which they wait: none of those that have is kept.
    while (this.waiting.peek()?.settled === true) this.waiting.shift();
  }

  private whyLate(outgoing: Outgoing): string {
    if (this.channel === null) return 'RabbitMQ could not be reached';
    return {
      waiting: 'RabbitMQ did not get through the messages before this one',
      sent: 'RabbitMQ did not confirm a message',
      refused: `RabbitMQ did not accept a message for ${addressOf(outgoing)}`,
    }[outgoing.state];
  }
}

function addressOf({ parcel: { exchange, routingKey } }: Outgoing): string {
  return `"${routingKey}" at the exchange "${exchange}"`;
}

function larger(one: Outgoing, other: Outgoing): Outgoing {
  return other.parcel.content.length > one.parcel.content.length ? other : one;
}
