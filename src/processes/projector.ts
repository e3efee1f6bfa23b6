import { cancelCommands } from '../dispatch/cancel-commands.ts';
import { Dispatcher } from '../dispatch/dispatcher.ts';
import { findWaiting } from '../dispatch/waiting-jobs.ts';
import type { Transport } from '../messaging/transport.ts';
import { Projector } from '../projections/projector.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';
import type { Core } from './core.ts';
import { deliveryUpkeep } from './delivery-upkeep.ts';
import { openArchiver } from './archive.ts';
import { openDoor } from './door.ts';
import { openMirror } from './mirror.ts';
import { watchLog } from './watch-log.ts';

export type ProjectorRole = Readonly<{
  core: Core & Readonly<{ transport: Transport }>;
  catalog: WorkflowCatalog;
}>;

/** Keeps the read models, and carries work from the log to the broker, until `signal` aborts. */
export async function runProjector(
  { core: given, catalog }: ProjectorRole,
  signal: AbortSignal,
): Promise<void> {
  // Nothing here needs a name: what it derives and passes on has them sealed, as the log does.
  const core = { ...given, store: given.log };
  const { config, database, logger } = core;
  const { door, close } = await openDoor({
    store: given.store,
    prompt: given.prompt,
    findWaiting: (event, key) => findWaiting(database, event, key),
  });
  const projector = new Projector({ ...core, poison: { policy: config.projectionsOnPoison } });
  const { leaseMs, redispatchAfterMs } = config;
  const dispatcher = new Dispatcher({
    ...core,
    door,
    config: { leaseMs, redispatchAfterMs },
    clock: () => new Date(),
  });
  const mirror = openMirror(core);
  logger.info('keeps the read models and dispatches jobs');
  try {
    await Promise.all([
      projector.run(signal),
      dispatcher.run(signal),
      cancelCommands({ ...core, door, clock: () => new Date() }).run(signal),
      deliveryUpkeep({ core, catalog, door }, signal),
      watchLog(core, { relay: dispatcher.relay, mirror }, signal),
      mirror?.run(signal),
      openArchiver(core)?.run(signal),
    ]);
  } finally {
    await close();
  }
}
