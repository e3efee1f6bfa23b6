import type { OutgoingMessage, Transport } from '../messaging/transport.ts';

export type Published = Readonly<{
  /** By the place in the given list: whether the broker has taken responsibility. */
  confirmed: readonly boolean[];
  /** Why the first that was not confirmed was not. */
  failure: unknown;
}>;

/** Publishes all in order without waiting for one confirm before the next. */
export async function publishAll(
  transport: Pick<Transport, 'publish'>,
  messages: readonly OutgoingMessage[],
): Promise<Published> {
  const results = await Promise.allSettled(messages.map((message) => transport.publish(message)));
  return {
    confirmed: results.map(({ status }) => status === 'fulfilled'),
    failure: results.find((result) => result.status === 'rejected')?.reason,
  };
}
