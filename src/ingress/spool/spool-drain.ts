import { linked } from '../../messaging/abort.ts';
import { QUEUES } from '../../messaging/topology.ts';
import type { Disposition, IncomingMessage, Transport } from '../../messaging/transport.ts';
import type { Logger } from '../../platform/logger.ts';
import {
  type DeliveryReceipt,
  type Door,
  ReceiveDelivery,
  type ReceivedDelivery,
} from '../../write/door.ts';
import { Rejected } from '../../write/rejected.ts';
import { MEBIBYTE } from '../webhooks/provider.ts';
import type { Outage } from './outage.ts';
import { UnreadableDelivery, unpackDelivery } from './spooled-delivery.ts';

/** Deliveries that go to Postgres together. */
const WAVE = 16;
const WAVE_BYTES = 32 * MEBIBYTE;

export type DrainParts = Readonly<{
  transport: Transport;
  /** Its deadline for a delivery decides how long a wave may take. */
  door: Door;
  outage: Outage;
  logger: Logger;
}>;

/** One stretch of consuming, which ends when Postgres is away. */
type Consumption = Readonly<{
  /** What is not begun is given back from then on. */
  ending: AbortSignal;
  end: () => void;
}>;

type Held = Readonly<{
  message: IncomingMessage;
  consumption: Consumption;
  settle: (disposition: Disposition) => void;
}>;

type Unpacked = Readonly<{ held: Held; delivery: ReceivedDelivery }>;

/**
 * Stores what is in the spool, in order, exactly as if it came now, but received when it was. A delivery leaves the
 * queue when it is in Postgres. One process drains at a time; another takes over when it has no Postgres.
 */
export class SpoolDrain {
  private readonly waiting: Held[] = [];
  private held = 0;
  private isPumping = false;

  constructor(private readonly parts: DrainParts) {}

  /** How many deliveries were taken out of the queue and are not answered for. */
  get inHand(): number {
    return this.held;
  }

  /** Drains until `signal` aborts and what was begun is stored or given back. */
  async run(signal: AbortSignal): Promise<void> {
    const { outage, transport } = this.parts;
    while (!signal.aborted) {
      await outage.leaves('away', signal);
      if (signal.aborted) return;
      const failed = new AbortController();
      const until = linked(signal, failed.signal);
      const consumption = { ending: until.signal, end: () => failed.abort() };
      // Else it would take what is put there from now on, and try in vain.
      void outage.next(until.signal).then(consumption.end);
      await transport.consume(
        {
          queue: QUEUES.spool,
          prefetch: WAVE,
          handle: (message) => this.handle(message, consumption),
        },
        until.signal,
      );
      until.release();
    }
  }

  private async handle(message: IncomingMessage, consumption: Consumption): Promise<Disposition> {
    this.held += 1;
    try {
      return await new Promise((settle) => {
        this.waiting.push({ message, consumption, settle });
        if (!this.isPumping) void this.pump();
      });
    } finally {
      this.held -= 1;
    }
  }

  /** One wave after the other, so that nothing is stored while something before it is not. */
  private async pump(): Promise<void> {
    this.isPumping = true;
    while (this.waiting.length > 0) await this.store(await this.nextWave());
    this.isPumping = false;
  }

  private async store(wave: readonly Unpacked[]): Promise<void> {
    const results = await Promise.allSettled(
      wave.map(({ delivery }) => this.parts.door.execute(new ReceiveDelivery(delivery))),
    );
    const failure = results.find(
      (result): result is PromiseRejectedResult =>
        result.status === 'rejected' && isFailure(result),
    );
    if (failure !== undefined) {
      // Before anything is answered for, so that nothing newer is begun meanwhile.
      for (const { held } of wave) held.consumption.end();
      this.parts.outage.begin(failure.reason);
    }
    for (const [index, { held, delivery }] of wave.entries()) {
      const result = results[index];
      if (result !== undefined) held.settle(this.disposition(delivery, result));
    }
  }

  /** The oldest deliveries, as many as go together; those that cannot be read are dead. */
  private async nextWave(): Promise<readonly Unpacked[]> {
    const wave: Unpacked[] = [];
    let bytes = 0;
    while (wave.length < WAVE && bytes < WAVE_BYTES) {
      const held = this.waiting.shift();
      if (held === undefined) break;
      const delivery = await this.unpack(held);
      if (delivery === null) continue;
      wave.push({ held, delivery });
      bytes += delivery.body.length;
    }
    return wave;
  }

  private async unpack(held: Held): Promise<ReceivedDelivery | null> {
    if (held.consumption.ending.aborted) {
      held.settle('retry');
      return null;
    }
    try {
      return await unpackDelivery(held.message.raw ?? Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof UnreadableDelivery)) throw error;
      this.parts.logger.error({ err: error }, 'a spooled delivery cannot be read');
      held.settle({ dead: error.message });
      return null;
    }
  }

  private disposition(
    { source, deliveryId }: ReceivedDelivery,
    result: PromiseSettledResult<DeliveryReceipt>,
  ): Disposition {
    if (result.status === 'rejected') {
      if (isFailure(result)) return 'retry';
      return { dead: `The delivery "${deliveryId}" of "${source}": ${String(result.reason)}` };
    }
    const { status } = result.value;
    if (status === 'id-conflict') {
      return { dead: `The delivery id "${deliveryId}" of "${source}" was used by another body` };
    }
    this.parts.logger.info({ source, deliveryId, status }, 'a spooled delivery is stored');
    return 'ack';
  }
}

/** Nothing against the delivery: Postgres is away, or not as it should be. */
function isFailure({ reason }: PromiseRejectedResult): boolean {
  return !(reason instanceof Rejected);
}
