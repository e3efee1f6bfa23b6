import { randomUUID } from 'node:crypto';

import {
  type DeliveryReceipt,
  type Door,
  ReceiveDelivery,
  type ReceivedDelivery,
} from '../../../src/write/door.ts';

/** A door that keeps deliveries in memory, by the same rules as the real one. */
export class RecordingDoor {
  readonly deliveries: ReceivedDelivery[] = [];
  /** What to do before the next deliveries are stored: throw, or wait. */
  before: () => Promise<void> = () => Promise.resolve();
  private readonly receipts = new Map<ReceivedDelivery, DeliveryReceipt>();

  readonly door = {
    execute: async (command: unknown): Promise<DeliveryReceipt> => {
      if (!(command instanceof ReceiveDelivery)) throw new Error('Only deliveries come in here');
      await this.before();
      return this.receive(command.delivery);
    },
  } as Door;

  get last(): ReceivedDelivery {
    const last = this.deliveries.at(-1);
    if (last === undefined) throw new Error('Nothing was stored');
    return last;
  }

  private receive(delivery: ReceivedDelivery): DeliveryReceipt {
    const known =
      this.deliveries.find(
        ({ source, key }) => source === delivery.source && key === delivery.key,
      ) ??
      (delivery.sameBodyIsDuplicate
        ? this.deliveries.find(
            ({ source, body }) => source === delivery.source && body.equals(delivery.body),
          )
        : undefined);
    if (known !== undefined) {
      const receipt = this.receipts.get(known);
      if (receipt === undefined || receipt.status === 'id-conflict') throw new Error('Impossible');
      return known.body.equals(delivery.body)
        ? { ...receipt, status: 'duplicate' }
        : { status: 'id-conflict' };
    }
    const receipt: DeliveryReceipt = {
      status: 'new',
      id: randomUUID(),
      jobs: delivery.jobs.map(({ planned: { workflow } }) => ({ id: randomUUID(), workflow })),
    };
    this.deliveries.push(delivery);
    this.receipts.set(delivery, receipt);
    return receipt;
  }
}
