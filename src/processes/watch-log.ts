import type { EventRelay } from '../dispatch/event-relay.ts';
import { tail } from '../event-store/tail.ts';
import { isJobEvent } from '../events/job.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { pause } from '../platform/backoff.ts';
import { untilAnswered } from '../platform/reachable.ts';
import { projectionLags } from '../projections/control.ts';
import type { Core } from './core.ts';
import { JobMetrics } from './job-metrics.ts';

const LAG_EVERY_MS = 1_000;

/** Keeps the metrics of the log's followers and of the jobs, until `signal` aborts. */
export async function watchLog(
  core: Core,
  followers: Followers,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([watchLags(core, followers, signal), watchJobs(core, signal)]);
}

type Followers = Readonly<{ relay: Pick<EventRelay, 'lag'>; mirror: Mirror | null }>;

async function watchLags(
  { database, metrics, logger }: Core,
  { relay, mirror }: Followers,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for (const [projection, lag] of await projectionLags(database)) {
        metrics.projectionLagEvents.set({ projection }, lag);
      }
      metrics.relayLagEvents.set(Number(await relay.lag()));
      if (mirror) metrics.mirrorLagEvents.set(Number(await mirror.lag()));
    } catch (error) {
      logger.debug({ err: error }, 'the lags could not be measured');
    }
    await pause(LAG_EVERY_MS, signal);
  }
}

async function watchJobs(
  { store, hints, metrics, logger }: Core,
  signal: AbortSignal,
): Promise<void> {
  const jobs = new JobMetrics(metrics);
  const after = await untilAnswered(() => store.head(), { signal, logger });
  if (after === undefined) return;
  for await (const page of tail({ store, hints, logger, after }, signal)) {
    for (const event of page.filter(isJobEvent)) jobs.observe(event);
  }
}
