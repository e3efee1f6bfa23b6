import { Ingress, type IngressOptions } from '../ingress/ingress.ts';
import { readConfig } from '../platform/config.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';
import { aborted } from './aborted.ts';
import type { Core } from './core.ts';
import type { Hangups } from './hangups.ts';
import { localClones } from './local-clones.ts';
import { reloadAtHangup } from './reload-sources.ts';
import { openStore } from './spool.ts';

export type IngressRole = Readonly<{
  core: Core;
  catalog: WorkflowCatalog;
  host: string;
  /** Told of the port once it listens. */
  onListening?: (port: number) => void;
  /** The sources as they are configured now, for a reload. */
  readSources?: () => readonly WebhookSource[];
  /** Asks for reloads; without it, there are none. */
  hangups?: Hangups | null;
}>;

/** Takes webhooks until `signal` aborts and every request at hand is answered. */
export async function runIngress(role: IngressRole, signal: AbortSignal): Promise<void> {
  const { core, catalog, host, onListening, hangups = null } = role;
  const { readSources = () => readConfig().sources } = role;
  const { config, logger, metrics } = core;
  const { door, store, close } = await openStore(core);
  const options: IngressOptions = {
    door,
    store,
    sources: config.sources,
    plan: catalog.plan,
    logger,
    localClones: localClones(config),
    trustedProxies: config.trustedProxies,
    maxFailuresPerMinute: config.maxFailuresPerMinute,
    metrics: {
      countDelivery: (source, outcome) => {
        metrics.deliveries.inc({ source, outcome });
      },
      countNotAuthentic: (source, hint) => {
        metrics.notAuthentic.inc({ source, hint });
      },
      observeSeconds: (seconds) => {
        metrics.ingressSeconds.observe(seconds);
      },
    },
  };
  const ingress = Ingress.create(options);
  const reloading = reloadAtHangup({
    hangups,
    read: readSources,
    use: (sources) => {
      ingress.replaceSources(sources);
    },
    logger,
  });
  try {
    const port = await ingress.listen(config.ingressPort, host);
    logger.info({ host, port, sources: config.sources.map(({ name }) => name) }, 'takes webhooks');
    onListening?.(port);
    await aborted(signal);
  } finally {
    reloading.stop();
    await ingress.close();
    await close();
  }
}
