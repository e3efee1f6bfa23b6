import {
  NotConfirmed,
  type OutgoingMessage,
  type Transport,
  Unroutable,
} from '../messaging/transport.ts';

/**
 * `unconfirmed`: the broker is away or refused; it may take it later. `impossible`: no broker will, because of what
 * the message is.
 */
export type Publication =
  | Readonly<{ status: 'confirmed' }>
  | Readonly<{ status: 'unconfirmed' | 'impossible'; error: unknown }>;

/** Publishes all in order without waiting for one confirm before the next; gives what became of each. */
export async function publishAll(
  transport: Pick<Transport, 'publish'>,
  messages: readonly OutgoingMessage[],
): Promise<readonly Publication[]> {
  const results = await Promise.allSettled(messages.map((message) => transport.publish(message)));
  return results.map((result) => {
    if (result.status === 'fulfilled') return { status: 'confirmed' };
    const error: unknown = result.reason;
    const later = error instanceof NotConfirmed || error instanceof Unroutable;
    return { status: later ? 'unconfirmed' : 'impossible', error };
  });
}
