import type { Logger } from '../platform/logger.ts';
import { whenAborted } from './abort.ts';
import { type Delivery, handleDelivery } from './delivery.ts';
import { Fifo } from './fifo.ts';
import { type Parcel, unpack } from './parcel.ts';
import type { QueueDefinition } from './topology.ts';
import type { Consumer, QueueDepth } from './transport.ts';

/** A message in a queue, with what the queue knows of it. */
type Queued = Readonly<{ parcel: Parcel; deliveryCount: number }>;

type Subscription = {
  readonly consumer: Consumer;
  readonly signal: AbortSignal;
  readonly running: Set<Promise<void>>;
};

/** One queue in memory: in order, each message with one consumer at a time, consumers in turn. */
export class InProcessQueue {
  readonly definition: QueueDefinition;
  private readonly bury: (parcel: Parcel, reason: string) => void;
  private readonly logger: Logger;
  /** Handed out and given back: they go before all others. */
  private readonly returned = new Fifo<Queued>();
  private readonly ready = new Fifo<Queued>();
  private subscriptions: readonly Subscription[] = [];
  private isPumpScheduled = false;

  constructor(
    definition: QueueDefinition,
    options: { bury: (parcel: Parcel, reason: string) => void; logger: Logger },
  ) {
    this.definition = definition;
    this.bury = options.bury;
    this.logger = options.logger;
  }

  get depth(): QueueDepth {
    return {
      name: this.definition.name,
      ready: this.returned.size + this.ready.size,
      unacknowledged: this.subscriptions.reduce((sum, { running }) => sum + running.size, 0),
      consumers: this.subscriptions.length,
    };
  }

  put(parcel: Parcel): void {
    this.ready.push({ parcel, deliveryCount: 0 });
    this.schedulePump();
  }

  /** Removes and gives the oldest message that no consumer has. */
  take(): Parcel | null {
    return this.next()?.parcel ?? null;
  }

  /** The oldest that no consumer has, without taking them. */
  peek(limit: number): readonly Parcel[] {
    return [...this.returned, ...this.ready].slice(0, limit).map(({ parcel }) => parcel);
  }

  async consume(consumer: Consumer, signal: AbortSignal): Promise<void> {
    const subscription: Subscription = { consumer, signal, running: new Set() };
    this.subscriptions = [...this.subscriptions, subscription];
    this.schedulePump();
    await whenAborted(signal).aborted;
    await Promise.all(subscription.running);
    this.subscriptions = this.subscriptions.filter((other) => other !== subscription);
    this.schedulePump();
  }

  /** In a turn of its own, so that nobody who publishes runs the handlers of others. */
  private schedulePump(): void {
    if (this.isPumpScheduled) return;
    this.isPumpScheduled = true;
    setImmediate(() => {
      this.isPumpScheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    for (;;) {
      const subscription = this.nextSubscription();
      if (subscription === undefined) return;
      const queued = this.next();
      if (queued === undefined) return;
      this.deliver(queued, subscription);
    }
  }

  /** The next in turn with a free place; it goes to the end of the line. */
  private nextSubscription(): Subscription | undefined {
    const candidates =
      this.definition.singleActiveConsumer === true
        ? this.subscriptions.slice(0, 1)
        : this.subscriptions;
    const free = candidates.find(
      ({ consumer, running, signal }) => !signal.aborted && running.size < consumer.prefetch,
    );
    if (free !== undefined && candidates.length > 1) {
      this.subscriptions = [...this.subscriptions.filter((other) => other !== free), free];
    }
    return free;
  }

  private next(): Queued | undefined {
    return this.returned.shift() ?? this.ready.shift();
  }

  private deliver(queued: Queued, { consumer, signal, running }: Subscription): void {
    const context = { signal, logger: this.logger };
    const handling = handleDelivery(this.delivery(queued), consumer, context).finally(() => {
      running.delete(handling);
      this.schedulePump();
    });
    running.add(handling);
  }

  private delivery(queued: Queued): Delivery {
    const { parcel, deliveryCount } = queued;
    const { name, deliveryLimit } = this.definition;
    return {
      open: () => unpack(parcel, { queue: name, deliveryCount }),
      deliveryCount,
      deliveryLimit,
      ack: () => undefined,
      retry: () => {
        this.returned.push({ parcel, deliveryCount: deliveryCount + 1 });
      },
      bury: (reason) => Promise.resolve(this.bury(parcel, reason)),
    };
  }
}
