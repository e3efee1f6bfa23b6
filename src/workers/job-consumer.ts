import type { Disposition, IncomingMessage, Transport } from '../messaging/transport.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Logger } from '../platform/logger.ts';
import { linked } from './abort.ts';
import type { ReleaseSlot, Slots, Urgency } from './slots.ts';

export type JobConsumerOptions = Readonly<{
  transport: Pick<Transport, 'consume'>;
  slots: Slots;
  logger: Logger;
  /** Claims the job and begins to run it; gives the slot back when that is over, or when there is nothing to run. */
  take: (message: IncomingMessage, release: ReleaseSlot) => Promise<Disposition>;
  /** What is to be done with the message without a slot, if anything. */
  sortOut: (message: IncomingMessage) => Disposition | null;
}>;

/** A message waits so long for a slot; then it goes back, for another worker may have one. */
const PARK_MS = 250;

/** How many claims of one queue are on their way at a time. */
const MAX_PREFETCH = 32;

/** A hint that was given back so often is dropped: the dispatcher brings it again from the log. */
const MAX_RETURNS = 20;

/**
 * Takes hints only while there are slots for their jobs. A worker whose slots are all taken consumes nothing, so no
 * hint stands behind a long job while another worker is idle, and none is held for longer than a claim takes.
 */
export class JobConsumer {
  constructor(private readonly options: JobConsumerOptions) {}

  async run(queue: string, urgency: Urgency, signal: AbortSignal): Promise<void> {
    const { slots, logger } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      await slots.whenFree(signal);
      if (signal.aborted) return;
      try {
        await this.round(queue, urgency, signal);
        failures = 0;
      } catch (error) {
        failures++;
        logger.warn({ err: error, queue }, 'the consumer of jobs ended, and begins again');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** Consumes until no slot was free for a while, or so many are that it should fetch more at a time. */
  private async round(queue: string, urgency: Urgency, signal: AbortSignal): Promise<void> {
    const { transport, slots } = this.options;
    const most = Math.min(slots.size, MAX_PREFETCH);
    const prefetch = Math.max(1, Math.min(slots.free, most));
    const round = linked(signal);
    const handle = async (message: IncomingMessage): Promise<Disposition> => {
      const sorted = this.options.sortOut(message);
      if (sorted !== null) return sorted;
      const release = await slots.take(urgency, { timeoutMs: PARK_MS, signal: round.signal });
      if (release === null) {
        round.abort();
        return returned(message);
      }
      if (prefetch < most && slots.free >= prefetch * 2) round.abort();
      return await this.options.take(message, release);
    };
    try {
      await transport.consume({ queue, prefetch, handle }, round.signal);
    } finally {
      round.unlink();
    }
  }
}

/** Back to the queue, but never so often that it would end among the dead letters. */
export const returned = ({ deliveryCount }: IncomingMessage): Disposition =>
  deliveryCount < MAX_RETURNS ? 'retry' : 'ack';
