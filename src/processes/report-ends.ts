import { tail } from '../event-store/tail.ts';
import type { Recorded } from '../events/event.ts';
import type { JobEvent } from '../events/job.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import { FIND_HEAD, withHead } from '../workflows/code-review/find-head-trigger.ts';
import { type EndedJob, reportEnd } from '../workflows/code-review/reporting/report-end.ts';
import type { Core } from './core.ts';

const TYPES: readonly JobEvent['type'][] = ['JobCancelled', 'JobSuperseded', 'JobFailed'];

/** A run that loses its job may have a request under way, which is not to have the last word. */
const SETTLE_MS = 1000;
const REPORT_MS = 10_000;
/** Among which is the step that finds the head, where there is one. */
const FIRST_EVENTS = 10;

type Needs = Pick<Core, 'config' | 'store' | 'hints' | 'logger'>;

/**
 * Tells the hosts, until `signal` aborts, of reviews that end without a result, whether a worker held them or not:
 * else they would be shown as pending for ever. Each worker does it, from when it starts, which the hosts' statuses
 * bear; an end that no worker sees is not told.
 */
export async function reportEnds(core: Needs, signal: AbortSignal): Promise<void> {
  const { config, store, hints, logger } = core;
  if (Object.keys(config.reporting).length === 0) return;
  const after = await logHead(core, signal);
  for await (const page of tail<JobEvent>({ store, hints, logger, after, types: TYPES }, signal)) {
    await pause(SETTLE_MS, signal);
    for (const event of page) await report(core, event, signal);
  }
}

/** The last position, as soon as the log can be read. */
async function logHead({ store, logger }: Needs, signal: AbortSignal): Promise<bigint> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      return await store.head();
    } catch (error) {
      logger.warn({ err: error }, 'the log could not be read');
      await pause(backoffMs(tries, { firstMs: 100, maxMs: 2_000 }), signal);
    }
  }
  return 0n;
}

async function report(core: Needs, event: Recorded<JobEvent>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { config, store, logger } = core;
  const jobId = event.streamId;
  try {
    const [first, ...rest] = await store.readStream<JobEvent>(jobId, { limit: FIRST_EVENTS });
    const end = endOf(event);
    if (end === null || first?.type !== 'JobRequested') return;
    const { workflow, trigger } = first.data;
    if (workflow !== 'code-review') return;
    const untilLate = AbortSignal.any([signal, AbortSignal.timeout(REPORT_MS)]);
    await reportEnd({ jobId, trigger: headOf(trigger, rest), end }, config.reporting, untilLate);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    logger.warn({ jobId, error: why }, 'the host was not told how the review ended');
  }
}

/** A review that a comment asked for has found its commits in its first step. */
function headOf(trigger: EndedJob['trigger'], events: readonly JobEvent[]): EndedJob['trigger'] {
  for (const { type, data } of events) {
    if (type === 'JobStepCompleted' && data.name === FIND_HEAD)
      return withHead(trigger, data.output);
  }
  return trigger;
}

function endOf(event: JobEvent): EndedJob['end'] | null {
  if (event.type === 'JobCancelled') return { state: 'cancelled' };
  if (event.type === 'JobSuperseded') return { state: 'superseded' };
  return event.type === 'JobFailed' ? { state: 'failed', reason: event.data.error.message } : null;
}
