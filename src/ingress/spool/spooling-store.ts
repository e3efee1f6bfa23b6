import type { ReceivedDelivery } from '../../write/door.ts';
import { Rejected } from '../../write/rejected.ts';
import type { StoreDelivery, StoredDelivery } from '../webhooks/store-delivery.ts';
import { HOLD_MS, type Outage } from './outage.ts';
import { LARGE_BYTES, type Spool } from './spool.ts';

/** From the moment a delivery is verified and read to its answer, whatever is away. */
const ANSWER_WITHIN_MS = 1_600;
/** Of these, how long Postgres may take: longer counts as away. */
export const DIRECT_DEADLINE_MS = 1_000;
/** How long the spool may take when Postgres could take the delivery as well. */
const CATCHING_UP_SPOOL_MS = 600;
const LEAST_SPOOL_MS = 300;

export type SpoolingParts = Readonly<{
  /** Into Postgres, within `DIRECT_DEADLINE_MS`. */
  direct: StoreDelivery;
  spool: Spool;
  outage: Outage;
  /** The jobs that a delivery will have: they follow from it. */
  jobsOf: (delivery: ReceivedDelivery) => readonly Readonly<{ id: string; workflow: string }>[];
}>;

/**
 * Stores in Postgres while it answers, and else in the spool, where the delivery is as durable as RabbitMQ's disk.
 * Rejects when neither has taken it in time.
 */
export function spoolingStore(parts: SpoolingParts): StoreDelivery {
  const { outage } = parts;
  return async (delivery) => {
    const until = performance.now() + ANSWER_WITHIN_MS;
    if (outage.state === 'ending') await outage.leaves('ending', AbortSignal.timeout(HOLD_MS));
    const stored = goesToPostgres(parts) ? await storeDirectly(parts, delivery) : null;
    return stored ?? storeInSpool(parts, delivery, until);
  };
}

/** With RabbitMQ away it is better to overtake what is in the spool than to be refused. */
function goesToPostgres({ outage, spool }: SpoolingParts): boolean {
  return outage.state === 'none' || (outage.state !== 'away' && !spool.isReady());
}

async function storeInSpool(
  parts: SpoolingParts,
  delivery: ReceivedDelivery,
  until: number,
): Promise<StoredDelivery> {
  const { outage, spool, jobsOf } = parts;
  const leftMs = (): number => until - performance.now();
  const withinMs =
    outage.state === 'catching-up' ? CATCHING_UP_SPOOL_MS : Math.max(LEAST_SPOOL_MS, leftMs());
  try {
    await spool.put(delivery, withinMs);
    return { status: 'spooled', jobs: jobsOf(delivery) };
  } catch (error) {
    const isTimeForPostgres = outage.state !== 'away' && leftMs() > DIRECT_DEADLINE_MS - HOLD_MS;
    const stored = isTimeForPostgres ? await storeDirectly(parts, delivery) : null;
    if (stored === null) throw error;
    return stored;
  }
}

/** Null when Postgres is away: it did not take this delivery, or another one while this one waited. */
async function storeDirectly(
  { direct, outage }: SpoolingParts,
  delivery: ReceivedDelivery,
): Promise<StoredDelivery | null> {
  try {
    return await unlessAway(direct(delivery), outage);
  } catch (error) {
    if (error instanceof Rejected) throw error;
    // A large one may be slow by itself, which says nothing of the others.
    if (delivery.body.length <= LARGE_BYTES) outage.begin(error);
    return null;
  }
}

/** Null when another delivery finds that Postgres is away, as nobody waits for this one any more then. */
function unlessAway(
  stored: Promise<StoredDelivery>,
  outage: Outage,
): Promise<StoredDelivery | null> {
  return new Promise((resolve, reject) => {
    const stop = outage.onBegin(() => {
      resolve(null);
    });
    stored.finally(stop).then(resolve, reject);
  });
}
