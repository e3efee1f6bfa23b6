import { createHash } from 'node:crypto';

import { signalOf } from '../../events/command-signal.ts';
import type { JobEvent } from '../../events/job.ts';
import type { SignalEvent } from '../../events/signal.ts';
import { derivedId, newId } from '../../platform/ids.ts';
import type { PlannedJob, ReceivedDelivery } from '../door.ts';
import { job } from '../job/decider.ts';

/** A delivery as it is stored; what is JSON in the table is JSON text here. */
export type DeliveryRow = Readonly<
  Omit<ReceivedDelivery, 'triggers' | 'jobs' | 'headers'> & {
    id: string;
    hash: Buffer;
    repository: string | null;
    triggers: string;
    jobs: string;
    headers: string;
  }
>;

/** An event that a delivery brings, the first of its stream, as it is stored. */
export type FirstEventRow = Readonly<{
  streamId: string;
  eventId: string;
  type: (JobEvent | SignalEvent)['type'];
  at: Date;
  data: string;
  metadata: string;
}>;

/**
 * A job's id follows from the delivery and the workflow, so a delivery that comes twice is the same job. `index`
 * tells the triggers of a batch apart.
 */
export function deliveredJobId(
  { source, key }: Pick<ReceivedDelivery, 'source' | 'key'>,
  workflow: string,
  index: number,
): string {
  return derivedId('job', source, key, workflow, ...(index === 0 ? [] : [String(index)]));
}

/** The jobs that a delivery asks for, which are known before it is stored. */
export function deliveredJobs(
  delivery: ReceivedDelivery,
): readonly Readonly<{ id: string; workflow: string }>[] {
  return delivery.jobs.map(({ trigger, planned: { workflow } }) => ({
    id: deliveredJobId(delivery, workflow, delivery.triggers.indexOf(trigger)),
    workflow,
  }));
}

/**
 * What to store for a delivery: its row, and one event for each job that its rules request and each command it gives.
 * `hinted`: of those jobs whoever stores it tells the workers.
 */
export function deliveryRows(
  delivery: ReceivedDelivery,
  hinted: ReadonlySet<PlannedJob> = new Set(),
): Readonly<{ row: DeliveryRow; events: readonly FirstEventRow[] }> {
  const id = newId();
  const { receivedAt: at } = delivery;
  const jobs = deliveredJobs(delivery);
  const requests = delivery.jobs.flatMap(({ trigger, planned }, index): FirstEventRow[] => {
    const jobId = jobs[index]?.id ?? '';
    const data = { ...planned, trigger, input: null, deliveryId: id };
    const events = job.decide(job.initialState, { type: 'RequestJob', at, data });
    return events.map((event) => ({
      streamId: jobId,
      eventId: derivedId(jobId, event.type),
      type: event.type,
      at: event.at,
      data: JSON.stringify(event.data),
      metadata: JSON.stringify({
        causationId: id,
        correlationId: id,
        ...(hinted.has(planned) ? { hinted: true } : {}),
      }),
    }));
  });
  return {
    events: [...requests, ...commandRows(delivery, id)],
    row: {
      ...delivery,
      id,
      hash: createHash('sha256').update(delivery.body).digest(),
      repository: delivery.triggers[0]?.repository?.fullName ?? null,
      triggers: JSON.stringify(delivery.triggers),
      jobs: JSON.stringify(jobs),
      headers: JSON.stringify(delivery.headers),
    },
  };
}

/** A command has its id from the delivery, as the jobs have theirs. */
function commandRows(
  { source, key, triggers, receivedAt }: ReceivedDelivery,
  id: string,
): readonly FirstEventRow[] {
  return triggers.flatMap((trigger, index): FirstEventRow[] => {
    const data = signalOf(trigger);
    if (data === null) return [];
    const streamId = derivedId('command', source, key, String(index));
    const type = 'SignalReceived';
    return [
      {
        streamId,
        eventId: derivedId(streamId, type),
        type,
        at: receivedAt,
        data: JSON.stringify(data),
        metadata: JSON.stringify({ causationId: id, correlationId: id }),
      },
    ];
  });
}
