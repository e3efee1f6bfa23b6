import type { Logger } from '../platform/logger.ts';
import { linked } from './abort.ts';
import { bury, describeDeath, revive } from './dead-letter.ts';
import { InProcessQueue } from './in-process-queue.ts';
import { type Parcel, pack } from './parcel.ts';
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

/**
 * The transport within one process. Its messages are gone when the process ends: whoever publishes must be able to
 * publish again, as the dispatcher does from the log.
 */
export class InProcessTransport implements Transport {
  readonly isDurable = false;
  private readonly topology: Topology;
  private readonly queuesByName: ReadonlyMap<string, InProcessQueue>;
  private readonly exchanges: ReadonlySet<string>;
  private readonly consumers = new Set<Promise<void>>();
  private readonly closing = new AbortController();

  constructor({ logger, topology = TOPOLOGY }: { logger: Logger; topology?: Topology }) {
    this.topology = topology;
    this.exchanges = new Set(['', ...topology.exchanges.map(({ name }) => name)]);
    this.queuesByName = new Map(
      topology.queues.map((definition) => {
        const queue = definition.name;
        const options = {
          logger,
          bury: (parcel: Parcel, reason: string) => {
            this.route(bury(parcel, { topology, queue, reason }));
          },
        };
        return [queue, new InProcessQueue(definition, options)];
      }),
    );
  }

  // Async, so that what is wrong with the message rejects instead of throwing, as with RabbitMQ.
  async publish(message: OutgoingMessage): Promise<void> {
    if (this.closing.signal.aborted) throw new NotConfirmed('The transport is closed');
    if (!this.exchanges.has(message.exchange)) {
      throw new Error(`The exchange "${message.exchange}" is not in the topology: add it there`);
    }
    this.route(pack(message));
  }

  async consume(consumer: Consumer, signal: AbortSignal): Promise<void> {
    const queue = this.queueNamed(consumer.queue);
    const ending = linked(signal, this.closing.signal);
    const running = queue.consume(consumer, ending.signal);
    this.consumers.add(running);
    await running;
    ending.release();
    this.consumers.delete(running);
  }

  isReady(): boolean {
    return !this.closing.signal.aborted;
  }

  async queues(): Promise<readonly QueueDepth[]> {
    return [...this.queuesByName.values()].map(({ depth }) => depth);
  }

  async depth(queue: string): Promise<number> {
    return this.queueNamed(queue).depth.ready ?? 0;
  }

  async redrive(limit: number): Promise<number> {
    const dead = this.queueNamed(this.topology.deadLetters.queue);
    const stuck: Parcel[] = [];
    let moved = 0;
    for (let left = Math.min(limit, dead.depth.ready ?? 0); left > 0; left--) {
      const parcel = dead.take();
      if (parcel === null) break;
      if (this.isMoved(parcel)) moved += 1;
      else stuck.push(parcel);
    }
    for (const parcel of stuck) dead.put(parcel);
    return moved;
  }

  async deadLetters(limit: number): Promise<readonly DeadLetter[]> {
    return this.queueNamed(this.topology.deadLetters.queue).peek(limit).map(describeDeath);
  }

  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.consumers);
  }

  private isMoved(parcel: Parcel): boolean {
    const revived = revive(parcel);
    if (revived === null) return false;
    try {
      this.route(revived);
      return true;
    } catch (error) {
      if (error instanceof Unroutable) return false;
      throw error;
    }
  }

  private queueNamed(name: string): InProcessQueue {
    const queue = this.queuesByName.get(name);
    if (queue === undefined) {
      throw new Error(`The queue "${name}" is not in the topology: add it there`);
    }
    return queue;
  }

  private route(parcel: Parcel): void {
    const { exchange, routingKey, mandatory } = parcel;
    const takers = takersOf(this.topology, parcel);
    if (mandatory && takers.length === 0) {
      throw new Unroutable(`No queue takes "${routingKey}" at the exchange "${exchange}"`);
    }
    for (const { name } of takers) this.queueNamed(name).put(parcel);
  }
}
