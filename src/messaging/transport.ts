/**
 * Carries work between processes. RabbitMQ and the in-process twin behave the same: a message is delivered
 * at least once to one consumer of its queue, and what is confirmed survives a restart of that transport's server.
 */
export interface Transport {
  /** Whether what it has confirmed outlives this process; else whoever publishes must be able to do so again. */
  readonly isDurable: boolean;

  /**
   * Resolves when the broker has taken responsibility; rejects with `Unroutable` when no queue took a mandatory
   * message, and with `NotConfirmed` when the broker refused it, or is away for longer than a few seconds.
   */
  publish(message: OutgoingMessage): Promise<void>;

  /**
   * Consumes until `signal` aborts and every running handler has ended. Comes back by itself after any loss of
   * the connection or the channel. At most `prefetch` messages are out at a time.
   */
  consume(consumer: Consumer, signal: AbortSignal): Promise<void>;

  /** Whether a message could be published now. */
  isReady(): boolean;

  /** How full each queue of the topology is. */
  queues(): Promise<readonly QueueDepth[]>;

  /** The oldest dead letters, which stay where they are: what a redrive would move. */
  deadLetters(limit: number): Promise<readonly DeadLetter[]>;

  /** How many messages wait in one queue; rejects when the broker is away. */
  depth(queue: string): Promise<number>;

  /** Takes up to `limit` messages out of the dead-letter queue and publishes each where it came from. */
  redrive(limit: number): Promise<number>;

  close(): Promise<void>;
}

export type DeadLetter = Readonly<{
  messageId: string;
  /** Where it died; null when nothing says. A redrive leaves that one where it is. */
  queue: string | null;
  routingKey: string;
  reason: string;
  diedAt: Date | null;
  /** The beginning of what it said. */
  body: string;
}>;

export type OutgoingMessage = Readonly<{
  exchange: string;
  routingKey: string;
  messageId: string;
  /** Reject when no queue takes it. */
  mandatory?: boolean;
  headers?: Readonly<Record<string, string>>;
  /** 0 to 9; a hint that RabbitMQ before 4.0 and the in-process transport ignore. */
  priority?: number;
}> &
  // `body` travels as JSON, `raw` as it is.
  (Readonly<{ body: unknown; raw?: never }> | Readonly<{ raw: Buffer; body?: never }>);

export type IncomingMessage = Readonly<{
  queue: string;
  routingKey: string;
  messageId: string;
  body: unknown;
  /** The bytes of a message that was published as `raw`, whose `body` is undefined. */
  raw?: Buffer;
  headers: Readonly<Record<string, unknown>>;
  /** How often it was delivered before and not acknowledged. */
  deliveryCount: number;
}>;

/**
 * `ack`: done. `retry`: deliver it again, to this or another consumer, after a moment (0.1 to 5 s), as often as the
 * queue's delivery limit allows and then to the dead-letter queue. `dead`: move it there at once, with the reason.
 */
export type Disposition = 'ack' | 'retry' | Readonly<{ dead: string }>;

export type Consumer = Readonly<{
  queue: string;
  prefetch: number;
  /** What it throws counts as `retry`. Acknowledged as soon as it resolves. */
  handle: (message: IncomingMessage) => Promise<Disposition>;
}>;

export type QueueDepth = Readonly<{
  name: string;
  ready: number | null;
  unacknowledged: number | null;
  consumers: number | null;
}>;

export class Unroutable extends Error {
  override readonly name = 'Unroutable';
}

export class NotConfirmed extends Error {
  override readonly name = 'NotConfirmed';
}
