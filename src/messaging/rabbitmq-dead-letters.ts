import { setTimeout } from 'node:timers/promises';

import type { Channel, ChannelModel, GetMessage } from 'amqplib';

import { describeDeath, revive } from './dead-letter.ts';
import type { Parcel } from './parcel.ts';
import { openChannel } from './rabbitmq-channel.ts';
import { parcelOf } from './rabbitmq-message.ts';
import { type DeadLetter, Unroutable } from './transport.ts';

/**
 * Moves up to `limit` dead letters back to the queues they came from and gives their number. One whose queue is gone,
 * or that does not say where it came from, stays. A crash in between leaves a message in both places, never in none.
 */
export async function redrive(
  model: ChannelModel,
  options: Readonly<{
    queue: string;
    limit: number;
    publish: (parcel: Parcel) => Promise<void>;
  }>,
): Promise<number> {
  const { channel, close } = await openChannel(() => model.createChannel());
  const stuck: GetMessage[] = [];
  let moved = 0;
  try {
    // What dies again meanwhile is not taken a second time.
    const { messageCount } = await channel.checkQueue(options.queue);
    for (let left = Math.min(options.limit, messageCount); left > 0; left--) {
      const message = await channel.get(options.queue);
      if (message === false) break;
      if (await isMoved(message, options.publish)) {
        channel.ack(message);
        moved += 1;
      } else {
        stuck.push(message);
      }
    }
    for (const message of stuck) channel.nack(message, false, true);
    return moved;
  } finally {
    await close();
  }
}

/** The oldest dead letters. They are taken and given back, so that a consumer beside us does not see them meanwhile. */
export async function peek(
  model: ChannelModel,
  { queue, limit }: Readonly<{ queue: string; limit: number }>,
): Promise<readonly DeadLetter[]> {
  const { channel, close } = await openChannel(() => model.createChannel());
  const letters: DeadLetter[] = [];
  try {
    while (letters.length < limit) {
      const message = await channel.get(queue);
      if (message === false) break;
      letters.push(describeDeath(parcelOf(message)));
    }
    channel.nackAll(true);
    await untilBack(channel, { queue, count: letters.length });
    return letters;
  } finally {
    await close();
  }
}

/** What is given back is in the queue a moment later; whoever redrives next is to find it there. */
async function untilBack(
  channel: Channel,
  { queue, count }: Readonly<{ queue: string; count: number }>,
): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const { messageCount } = await channel.checkQueue(queue);
    if (messageCount >= count) return;
    await setTimeout(LOOK_EVERY_MS);
  }
}

/** Some consumer may have taken them, so this ends after a second. */
const MAX_LOOKS = 50;
const LOOK_EVERY_MS = 20;

async function isMoved(
  message: GetMessage,
  publish: (parcel: Parcel) => Promise<void>,
): Promise<boolean> {
  const parcel = revive(parcelOf(message));
  if (parcel === null) return false;
  try {
    await publish(parcel);
    return true;
  } catch (error) {
    if (error instanceof Unroutable) return false;
    throw error;
  }
}
