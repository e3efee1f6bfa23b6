import { z } from 'zod';

import { QUEUES } from '../messaging/topology.ts';
import type { Disposition, IncomingMessage, Transport } from '../messaging/transport.ts';
import type { Logger } from '../platform/logger.ts';
import { type Door, SendSignal } from '../write/door.ts';
import { Rejected } from '../write/rejected.ts';
import type { DispatchCounts } from './dispatch-counts.ts';

const PREFETCH = 50;

const text = z
  .string()
  .min(1)
  .max(1_000)
  .refine((value) => !value.includes('\0'), 'holds U+0000');

const SignalMessage = z.object({
  id: text,
  event: text,
  key: text.nullable().default(null),
  payload: z.json().default(null),
});

export type SignalConsumerParts = Readonly<{
  transport: Pick<Transport, 'consume'>;
  door: Door;
  counts: DispatchCounts;
  clock: () => Date;
  logger: Logger;
}>;

/** Takes signals from other programs: the same id is the same signal, however often it comes. */
export class SignalConsumer {
  constructor(private readonly parts: SignalConsumerParts) {}

  async run(signal: AbortSignal): Promise<void> {
    await this.parts.transport.consume(
      {
        queue: QUEUES.signals,
        prefetch: PREFETCH,
        handle: (message) => this.handle(message),
      },
      signal,
    );
  }

  /** What it throws, as when Postgres is away, has the message delivered again later. */
  async handle({ body, messageId }: IncomingMessage): Promise<Disposition> {
    const { door, clock, counts, logger } = this.parts;
    const parsed = SignalMessage.safeParse(body);
    if (!parsed.success) {
      logger.warn({ messageId, mistakes: z.prettifyError(parsed.error) }, 'a signal is malformed');
      return { dead: `Not a signal: ${z.prettifyError(parsed.error)}` };
    }
    const { id, event, key, payload } = parsed.data;
    try {
      const at = clock();
      await door.execute(new SendSignal({ id, event, key, payload, at }));
    } catch (error) {
      if (error instanceof Rejected) return { dead: `Refused: ${error.message}` };
      if (error instanceof TypeError) return { dead: `Cannot be stored: ${error.message}` };
      throw error;
    }
    counts.signals++;
    return 'ack';
  }
}
