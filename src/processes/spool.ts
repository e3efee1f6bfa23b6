import { Outage, type OutageState } from '../ingress/spool/outage.ts';
import { SpoolDrain } from '../ingress/spool/spool-drain.ts';
import { Spool } from '../ingress/spool/spool.ts';
import { DIRECT_DEADLINE_MS, spoolingStore } from '../ingress/spool/spooling-store.ts';
import { type StoreDelivery, throughDoor } from '../ingress/webhooks/store-delivery.ts';
import type { Transport } from '../messaging/transport.ts';
import { DeliveryLog } from '../write/delivery/delivery-log.ts';
import { deliveredJobs } from '../write/delivery/delivery-rows.ts';
import { probeDeliveries } from '../write/delivery/probe-deliveries.ts';
import { Deliveries } from '../write/delivery/receive-delivery.ts';
import type { Door, ReceiveDelivery } from '../write/door.ts';
import type { Core } from './core.ts';

/** A delivery that is drained may wait longer than a sender does, and ends within the grace of a stop. */
const DRAIN_DEADLINE_MS = 10_000;

/** How long Postgres may take where there is no spool. */
const DIRECT_ONLY_DEADLINE_MS = 2_000;

/** Where an ingress stores. Its parts run until `close`, which is called when no request waits any more. */
export type IngressStore = Readonly<{
  door: Door;
  store: StoreDelivery;
  close: () => Promise<void>;
}>;

type StoreOptions = Pick<Core, 'databaseUrl' | 'logger' | 'hints' | 'transport'> &
  Partial<Pick<Core, 'privacy' | 'prompt'>>;

/** Postgres, and while it is away the spool, if the transport keeps what it is given. */
export async function openStore(core: StoreOptions): Promise<IngressStore> {
  const { transport } = core;
  if (transport?.isDurable === true) return openSpoolingStore({ ...core, transport });
  return openDirect(core, DIRECT_ONLY_DEADLINE_MS);
}

async function openSpoolingStore(
  core: StoreOptions & Readonly<{ transport: Transport }>,
): Promise<IngressStore> {
  const { databaseUrl, logger, transport } = core;
  const direct = openDirect(core, DIRECT_DEADLINE_MS);
  const drained = openDirect({ ...core, inOrder: true }, DRAIN_DEADLINE_MS);
  const spool = new Spool(transport);
  const outage: Outage = new Outage({
    probe: () => probeDeliveries(databaseUrl, DIRECT_DEADLINE_MS),
    backlog: async () => (await spool.depth()) + spool.pending + drain.inHand,
    initially: await stateOf(databaseUrl, spool),
    logger,
  });
  const drain: SpoolDrain = new SpoolDrain({ transport, door: drained.door, outage, logger });
  const ended = new AbortController();
  const running = Promise.all([outage.run(ended.signal), drain.run(ended.signal)]);
  return {
    door: direct.door,
    store: spoolingStore({ direct: direct.store, spool, outage, jobsOf: deliveredJobs }),
    close: async () => {
      ended.abort();
      await running;
      await direct.close();
      await drained.close();
    },
  };
}

function openDirect(
  {
    databaseUrl,
    logger,
    hints,
    privacy,
    prompt = null,
    inOrder = false,
  }: StoreOptions & Readonly<{ inOrder?: boolean }>,
  deadlineMs: number,
): IngressStore {
  const deliveryLog = new DeliveryLog({
    databaseUrl,
    logger,
    hints,
    deadlineMs,
    inOrder,
    sealTrigger: privacy?.sealTrigger ?? null,
  });
  const deliveries = new Deliveries(deliveryLog, prompt);
  // The only command that is sent here: the command bus would cost as much as all the rest of an ingress.
  const door = {
    execute: ({ delivery }: ReceiveDelivery) => deliveries.receive(delivery),
  } as Door;
  return {
    door,
    store: throughDoor(door, deadlineMs),
    close: () => deliveryLog.close(),
  };
}

/** What an earlier process has left in the spool comes before what comes now. */
async function stateOf(databaseUrl: string, spool: Spool): Promise<OutageState> {
  try {
    await probeDeliveries(databaseUrl, DIRECT_DEADLINE_MS);
  } catch {
    return 'away';
  }
  const depth = spool.isReady() ? await spool.depth().catch(() => 0) : 0;
  return depth === 0 ? 'none' : 'catching-up';
}
