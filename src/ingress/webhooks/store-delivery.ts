import {
  type DeliveryReceipt,
  type Door,
  ReceiveDelivery,
  type ReceivedDelivery,
} from '../../write/door.ts';
import { MEBIBYTE } from './provider.ts';

/**
 * Makes a delivery durable, or throws. What stands here decides what happens while Postgres is away: a
 * spool goes around `throughDoor` and nothing else changes.
 */
export type StoreDelivery = (delivery: ReceivedDelivery) => Promise<StoredDelivery>;

export type StoredDelivery =
  | DeliveryReceipt
  /** Durable, but not in the log yet. The jobs are those that it will have, if it did not come before. */
  | Readonly<{ status: 'spooled'; jobs: readonly Readonly<{ id: string; workflow: string }>[] }>;

/** The store did not answer in time. The delivery may still be stored; sent again, it is a duplicate then. */
class StoreTooSlow extends Error {
  override readonly name = 'StoreTooSlow';
}

/** A body of 25 MiB takes a busy machine seconds to store, and that is no sign that Postgres is away. */
const MORE_PER_MEBIBYTE_MS = 200;

/** Stores through the write side, which must answer within the deadline, or a little later for a large body. */
export function throughDoor(door: Door, deadlineMs: number): StoreDelivery {
  return async (delivery) => {
    const withinMs = deadlineMs + (delivery.body.length / MEBIBYTE) * MORE_PER_MEBIBYTE_MS;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new StoreTooSlow(`The delivery was not stored within ${withinMs.toFixed()} ms`));
      }, withinMs);
    });
    const stored = door.execute(new ReceiveDelivery(delivery));
    // After the deadline nobody waits for it any more.
    stored.catch(() => undefined);
    try {
      return await Promise.race([stored, deadline]);
    } finally {
      clearTimeout(timer);
    }
  };
}
