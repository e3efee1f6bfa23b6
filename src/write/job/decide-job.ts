import type { EventStore } from '../../event-store/event-store.ts';
import type { JobEvent } from '../../events/job.ts';
import { newId } from '../../platform/ids.ts';
import type { DecideJob, JobDecision, JobHistory } from '../door.ts';
import { handle } from '../handle.ts';
import { type PromptHints, type ReadyJob, isPrompt } from '../prompt-hints.ts';
import type { JobCommand } from './commands.ts';
import { job } from './decider.ts';

/** A job that is requested was mostly never heard of: its history need not be read to know that. */
const UNHEARD_OF: JobHistory = { state: job.initialState, version: 0, position: 0n };

/** Puts one command to one job's rules. What follows from a delivery keeps the delivery's correlation id. */
export class JobDecisions {
  constructor(
    private readonly store: EventStore,
    private readonly prompt: PromptHints | null = null,
  ) {}

  async decide(decision: DecideJob): Promise<JobDecision> {
    const { prompt } = this;
    if (prompt === null || !isReadying(decision.command) || !prompt.reserve()) {
      return this.append(decision, {});
    }
    let ready: ReadyJob | null = null;
    try {
      const decided = await this.append(decision, { hinted: true });
      ready = readyJob(decision.jobId, decided);
      return decided;
    } finally {
      if (ready === null) prompt.giveBack();
      else prompt.publish(ready);
    }
  }

  private append(
    { jobId, command, options }: DecideJob,
    hinted: Readonly<{ hinted?: true }>,
  ): Promise<JobDecision> {
    const { commandId = newId(), expectedVersion, known = unheardOf(command), ...about } = options;
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
          ...hinted,
        }),
        ...(known === undefined ? {} : { known }),
        ...(expectedVersion === undefined ? {} : { expectedVersion }),
      },
    );
  }
}

const unheardOf = ({ type }: JobCommand): JobHistory | undefined =>
  type === 'RequestJob' ? UNHEARD_OF : undefined;

/** Whether the command makes a job ready for a worker, whatever other jobs do. */
const isReadying = (command: JobCommand): boolean =>
  command.type === 'ResumeJob' || (command.type === 'RequestJob' && isPrompt(command.data));

/** What to tell of the job after its last event; null when nothing was added. */
function readyJob(jobId: string, { events, history }: JobDecision): ReadyJob | null {
  const last: JobEvent | undefined = events.at(-1);
  if (last === undefined) return null;
  const { workflow, priority } = history.state.request;
  const kind = last.type === 'JobResumed' ? 'resumed' : 'new';
  return { jobId, workflow, kind, priority, version: history.version, position: history.position };
}
