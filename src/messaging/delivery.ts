import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import type { Consumer, Disposition, IncomingMessage } from './transport.ts';

/** One message in the hands of a consumer, and the three ways to let go of it. */
export type Delivery = Readonly<{
  /** Throws when the content cannot be read; the message is dead then. */
  open: () => IncomingMessage;
  deliveryCount: number;
  deliveryLimit: number;
  ack: () => void;
  /** Back to the queue, counted as one more delivery. */
  retry: () => void;
  /** Into the dead-letter queue: resolves when it is there. */
  bury: (reason: string) => Promise<void>;
}>;

type Outcome = Readonly<{ disposition: Disposition; why?: string }>;

/** Hands one delivery to the consumer and does what it decides; never rejects. */
export async function handleDelivery(
  delivery: Delivery,
  { queue, handle }: Consumer,
  { signal, logger }: Readonly<{ signal: AbortSignal; logger: Logger }>,
): Promise<void> {
  const { disposition, why } = await decide(delivery, handle);
  if (disposition === 'ack') {
    delivery.ack();
    return;
  }
  const reason = reasonToBury(delivery, disposition, why);
  try {
    if (reason !== null) {
      await delivery.bury(reason);
      delivery.ack();
      logger.warn({ queue, reason }, 'a message went to the dead-letter queue');
      return;
    }
  } catch (error) {
    logger.warn({ err: error, queue }, 'a message could not be moved to the dead-letter queue yet');
  }
  if (why !== undefined) logger.warn({ queue, why }, 'a message is delivered again');
  // At once it would spin: the same message comes back first.
  await pause(backoffMs(delivery.deliveryCount + 1), signal);
  delivery.retry();
}

async function decide(delivery: Delivery, handle: Consumer['handle']): Promise<Outcome> {
  let message: IncomingMessage;
  try {
    message = delivery.open();
  } catch (error) {
    return { disposition: { dead: error instanceof Error ? error.message : String(error) } };
  }
  try {
    return { disposition: await handle(message) };
  } catch (error) {
    return { disposition: 'retry', why: error instanceof Error ? error.message : String(error) };
  }
}

/** Why the message is dead now, or null when it may be delivered again. */
function reasonToBury(
  { deliveryCount, deliveryLimit }: Delivery,
  disposition: 'retry' | Readonly<{ dead: string }>,
  why: string | undefined,
): string | null {
  if (disposition !== 'retry') return disposition.dead;
  if (deliveryCount < deliveryLimit) return null;
  const times = `Delivered ${String(deliveryCount + 1)} times and never handled`;
  return why === undefined ? times : `${times}; at last: ${why}`;
}
