import { type Parcel, ROUTING_KEY, originalRoutingKey } from './parcel.ts';
import { type Topology, toQueue } from './topology.ts';

/** Headers of a dead letter: why it is dead and where it came from. */
const DEAD = {
  reason: 'x-dead-reason',
  queue: 'x-dead-queue',
  exchange: 'x-dead-exchange',
  routingKey: 'x-dead-routing-key',
  at: 'x-dead-at',
} as const;

const MAX_REASON_LENGTH = 2_000;

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
  const origin = ownOrigin(parcel) ?? brokersOrigin(parcel);
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

type Origin = Readonly<{ queue: string; routingKey: string }>;

function ownOrigin({ headers }: Parcel): Origin | null {
  const queue = headers[DEAD.queue];
  const routingKey = headers[DEAD.routingKey];
  return typeof queue === 'string' && typeof routingKey === 'string' ? { queue, routingKey } : null;
}

/** What RabbitMQ itself writes when a message was delivered too often without an answer: its consumers died of it. */
function brokersOrigin(parcel: Parcel): Origin | null {
  const deaths = parcel.headers['x-death'];
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  if (typeof last !== 'object' || last === null || !('queue' in last)) return null;
  if (typeof last.queue !== 'string') return null;
  return { queue: last.queue, routingKey: originalRoutingKey(parcel) };
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
