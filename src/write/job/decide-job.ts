import type { EventStore } from '../../event-store/event-store.ts';
import { newId } from '../../platform/ids.ts';
import type { DecideJob, JobDecision } from '../door.ts';
import { handle } from '../handle.ts';
import { job } from './decider.ts';

/** Puts one command to one job's rules. What follows from a delivery keeps the delivery's correlation id. */
export class JobDecisions {
  constructor(private readonly store: EventStore) {}

  decide({ jobId, command, options }: DecideJob): Promise<JobDecision> {
    const { commandId = newId(), expectedVersion, known, ...about } = options;
    const deliveryId = command.type === 'RequestJob' ? command.data.deliveryId : null;
    return handle(
      this.store,
      job,
      { streamId: jobId, command },
      {
        commandId,
        metadata: ({ request }) => ({
          correlationId: request.deliveryId ?? deliveryId ?? jobId,
          ...about,
        }),
        ...(known === undefined ? {} : { known }),
        ...(expectedVersion === undefined ? {} : { expectedVersion }),
      },
    );
  }
}
