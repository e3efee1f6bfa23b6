import { z } from 'zod';

import { type Parcel, ROUTING_KEY, originalRoutingKey } from './parcel.ts';
import { type Topology, toQueue } from './topology.ts';
import type { DeadLetter } from './transport.ts';

/** Headers of a dead letter: why it is dead and where it came from. */
const DEAD = {
  reason: 'x-dead-reason',
  queue: 'x-dead-queue',
  exchange: 'x-dead-exchange',
  routingKey: 'x-dead-routing-key',
  at: 'x-dead-at',
} as const;

const MAX_REASON_LENGTH = 2_000;
const MAX_SHOWN_BYTES = 4_096;

/** The parcel as it goes to the dead-letter exchange. */
export function bury(
  parcel: Parcel,
  { topology, queue, reason }: Readonly<{ topology: Topology; queue: string; reason: string }>,
): Parcel {
  return {
    ...parcel,
    exchange: topology.deadLetters.exchange,
    mandatory: true,
    headers: {
      ...parcel.headers,
      [DEAD.reason]: reason.slice(0, MAX_REASON_LENGTH),
      [DEAD.queue]: queue,
      [DEAD.exchange]: parcel.exchange,
      [DEAD.routingKey]: originalRoutingKey(parcel),
      [DEAD.at]: new Date().toISOString(),
    },
  };
}

/** The parcel as it goes back to the queue where it died, or null when nothing says which that was. */
export function revive(parcel: Parcel): Parcel | null {
  const origin = originOf(parcel);
  if (origin === null) return null;
  const headers = Object.fromEntries(
    Object.entries(parcel.headers).filter(([name]) => !isOfDeath(name)),
  );
  return {
    ...parcel,
    ...toQueue(origin.queue),
    mandatory: true,
    headers: { ...headers, [ROUTING_KEY]: origin.routingKey },
  };
}

/** What an operator wants to know of a dead letter. */
export function describeDeath(parcel: Parcel): DeadLetter {
  const origin = originOf(parcel);
  return {
    messageId: parcel.messageId,
    queue: origin?.queue ?? null,
    routingKey: origin?.routingKey ?? originalRoutingKey(parcel),
    reason: origin?.reason ?? 'unknown',
    diedAt: origin?.at ?? null,
    body: parcel.content.toString('utf8', 0, MAX_SHOWN_BYTES),
  };
}

type Origin = Readonly<{ queue: string; routingKey: string; reason: string; at: Date | null }>;

const originOf = (parcel: Parcel): Origin | null => ownOrigin(parcel) ?? brokersOrigin(parcel);

function ownOrigin({ headers }: Parcel): Origin | null {
  const [queue, routingKey, reason, at] = [DEAD.queue, DEAD.routingKey, DEAD.reason, DEAD.at].map(
    (name) => headers[name],
  );
  if (typeof queue !== 'string' || typeof routingKey !== 'string') return null;
  const diedAt = new Date(String(at));
  return {
    queue,
    routingKey,
    reason: String(reason),
    at: Number.isNaN(diedAt.getTime()) ? null : diedAt,
  };
}

const Deaths = z
  .array(
    z.object({
      queue: z.string(),
      reason: z.string(),
      time: z.object({ value: z.number() }).optional(),
    }),
  )
  .min(1);

/** What RabbitMQ itself writes when a message was delivered too often without an answer: its consumers died of it. */
function brokersOrigin(parcel: Parcel): Origin | null {
  const deaths = Deaths.safeParse(parcel.headers['x-death']);
  const last = deaths.data?.[0];
  if (last === undefined) return null;
  const { queue, reason, time } = last;
  return {
    queue,
    routingKey: originalRoutingKey(parcel),
    reason:
      reason === 'delivery_limit'
        ? 'Delivered too often without an answer: its consumers were lost each time'
        : `RabbitMQ: ${reason}`,
    at: time === undefined ? null : new Date(time.value * 1_000),
  };
}

function isOfDeath(header: string): boolean {
  return (
    header === 'x-death' ||
    header === 'x-delivery-count' ||
    header === 'x-acquired-count' ||
    header === ROUTING_KEY ||
    ['x-first-death-', 'x-last-death-', 'x-dead-'].some((prefix) => header.startsWith(prefix))
  );
}
