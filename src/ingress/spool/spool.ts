import { randomUUID } from 'node:crypto';

import { QUEUES, spool } from '../../messaging/topology.ts';
import type { Transport } from '../../messaging/transport.ts';
import type { ReceivedDelivery } from '../../write/door.ts';
import { MEBIBYTE } from '../webhooks/provider.ts';
import { packDelivery } from './spooled-delivery.ts';

/** A large delivery gets more time, for as long as the broker is there. */
export const LARGE_BYTES = MEBIBYTE;
const MORE_MS_PER_MEBIBYTE = 250;
const LOOK_EVERY_MS = 200;

/** The broker did not take responsibility in time. Sent again, what did get there is a duplicate. */
class NotSpooled extends Error {
  override readonly name = 'NotSpooled';
}

/** The queue that holds deliveries while Postgres is away. Its transport must be durable. */
export class Spool {
  private waiting = 0;
  /** A delivery waited in vain, and RabbitMQ was not connected: until it is, nobody waits. */
  private isAway = false;

  constructor(private readonly transport: Transport) {
    if (!transport.isDurable) throw new Error('A spool needs a durable transport');
  }

  /** How many deliveries wait for their confirm. */
  get pending(): number {
    return this.waiting;
  }

  /** Whether a delivery could be put into it now. */
  isReady(): boolean {
    return this.transport.isReady();
  }

  /** Resolves when the broker has it on disk. Rejects when it does not say so by then. */
  async put(delivery: ReceivedDelivery, withinMs: number): Promise<void> {
    if (this.isAway && !this.transport.isReady()) throw new NotSpooled('RabbitMQ is away');
    this.isAway = false;
    const startedAt = performance.now();
    this.waiting += 1;
    try {
      await this.inTime(this.publish(delivery), withinMs, () => {
        const { length } = delivery.body;
        if (length <= LARGE_BYTES || !this.transport.isReady()) return 0;
        const moreMs = (length / MEBIBYTE) * MORE_MS_PER_MEBIBYTE;
        return startedAt + withinMs + moreMs - performance.now();
      });
    } catch (error) {
      this.isAway = !this.transport.isReady();
      throw error;
    } finally {
      this.waiting -= 1;
    }
  }

  /** How many deliveries no consumer has. */
  async depth(): Promise<number> {
    const queues = await this.transport.queues();
    return queues.find(({ name }) => name === QUEUES.spool)?.ready ?? 0;
  }

  private async publish(delivery: ReceivedDelivery): Promise<void> {
    const raw = await packDelivery(delivery);
    await this.transport.publish({ ...spool, messageId: randomUUID(), raw, mandatory: true });
  }

  /** Whoever is late is asked how much more time there is. */
  private async inTime(
    published: Promise<void>,
    withinMs: number,
    moreMs: () => number,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const expire = (): void => {
        const more = moreMs();
        if (more > 0) timer = setTimeout(expire, Math.min(more, LOOK_EVERY_MS));
        else reject(new NotSpooled('RabbitMQ did not take the delivery in time'));
      };
      timer = setTimeout(expire, withinMs);
    });
    // After the deadline nobody waits for it any more.
    published.catch(() => undefined);
    try {
      await Promise.race([published, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
