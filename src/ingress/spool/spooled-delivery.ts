import { promisify } from 'node:util';
import { constants, gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib';

import { z } from 'zod';

import type { ReceivedDelivery } from '../../write/door.ts';
import { MEBIBYTE } from '../webhooks/provider.ts';

/** Beyond it packing takes so long that other requests would notice; it then runs on a thread. */
const LARGEST_INLINE = 64 * 1024;

/** More than the largest delivery with all its facts, so that no message fills the memory when it is unpacked. */
const MAX_UNPACKED_BYTES = 64 * MEBIBYTE;

const HEAD_LENGTH_BYTES = 4;
const FORMAT = 1;

const Fields = z.looseObject({});

/** All of a delivery but its body. Each job names its trigger by place, as the same trigger is the same object. */
const Head = z.object({
  format: z.literal(FORMAT),
  source: z.string(),
  provider: z.string(),
  deliveryId: z.string(),
  key: z.string(),
  sameBodyIsDuplicate: z.boolean(),
  event: z.string(),
  action: z.string().nullable(),
  outcome: z.enum(['accepted', 'ignored', 'unmappable']),
  reason: z.string().nullable(),
  triggers: z.array(Fields),
  jobs: z.array(z.object({ trigger: z.int().nonnegative(), planned: Fields })),
  headers: z.record(z.string(), z.string()),
  receivedAt: z.iso.datetime(),
  elapsedMs: z.number().optional(),
});

/** The message is no delivery that this version can read. */
export class UnreadableDelivery extends Error {
  override readonly name = 'UnreadableDelivery';
}

/**
 * A delivery as one message: the length of its head, the head as JSON, and the exact body, compressed together.
 * RabbitMQ 4 takes 16 MiB by default, and a host sends up to 25; their payloads compress some five times.
 */
export async function packDelivery(delivery: ReceivedDelivery): Promise<Buffer> {
  const { body, jobs, triggers, receivedAt, elapsedMs, ...rest } = delivery;
  const head = Buffer.from(
    JSON.stringify({
      ...rest,
      format: FORMAT,
      triggers,
      jobs: jobs.map(({ trigger, planned }) => ({ trigger: triggers.indexOf(trigger), planned })),
      receivedAt: receivedAt.toISOString(),
      ...(elapsedMs === undefined ? {} : { elapsedMs: elapsedMs() }),
    }),
  );
  const length = Buffer.alloc(HEAD_LENGTH_BYTES);
  length.writeUInt32BE(head.length);
  const whole = Buffer.concat([length, head, body]);
  const options = { level: constants.Z_BEST_SPEED };
  if (whole.length <= LARGEST_INLINE) return gzipSync(whole, options);
  return promisify<Buffer, typeof options, Buffer>(gzip)(whole, options);
}

/** The delivery as it was. Throws `UnreadableDelivery`. */
export async function unpackDelivery(message: Buffer): Promise<ReceivedDelivery> {
  const whole = await inflate(message);
  const length = whole.length < HEAD_LENGTH_BYTES ? 0 : whole.readUInt32BE();
  const end = HEAD_LENGTH_BYTES + length;
  const { format: _, elapsedMs, ...head } = parseHead(whole.subarray(HEAD_LENGTH_BYTES, end));
  const jobs = head.jobs.map(({ trigger: place, planned }) => {
    const trigger = head.triggers[place];
    if (trigger === undefined) {
      throw new UnreadableDelivery(`A job is for trigger ${String(place)}, which is not there`);
    }
    return { trigger, planned };
  });
  const delivery = {
    ...head,
    jobs,
    body: whole.subarray(end),
    receivedAt: new Date(head.receivedAt),
    wasSpooled: true,
    ...(elapsedMs === undefined ? {} : { elapsedMs: () => elapsedMs }),
  };
  // `packDelivery` is the only writer, so what the schema leaves open has the types that it was given.
  return delivery as unknown as ReceivedDelivery;
}

async function inflate(message: Buffer): Promise<Buffer> {
  const options = { maxOutputLength: MAX_UNPACKED_BYTES };
  try {
    if (message.length <= LARGEST_INLINE) return gunzipSync(message, options);
    return await promisify<Buffer, typeof options, Buffer>(gunzip)(message, options);
  } catch (error) {
    throw new UnreadableDelivery('A spooled delivery cannot be decompressed', { cause: error });
  }
}

function parseHead(bytes: Buffer): z.infer<typeof Head> {
  try {
    return Head.parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    throw new UnreadableDelivery(
      'A spooled delivery has a head that this version cannot read: redrive it with the version that wrote it',
      { cause: error },
    );
  }
}
