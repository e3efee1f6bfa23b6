import { randomUUID } from 'node:crypto';

import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import { LocalLogHints } from '../../src/event-store/log-hints.ts';
import type { Recorded } from '../../src/events/event.ts';
import type { JobEvent, JobRequest } from '../../src/events/job.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { type Workflow, type WorkflowDefinition, defineWorkflow } from '../../src/sdk/index.ts';
import { claimJob } from '../../src/workers/claim-job.ts';
import {
  type RunEnd,
  type RunServices,
  type RunSignals,
  runJob,
} from '../../src/workers/run-job.ts';
import { codeOf } from '../../src/workers/workflow-code.ts';
import { DecideJob, type Door } from '../../src/write/door.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { inMemoryDoor } from '../support/in-memory-door.ts';
import { request } from '../support/jobs.ts';

export const silent = createLogger('silent', 'test');

/** A log in memory with the job's own rules, and runs upon it without any transport. */
export function engine() {
  const hints = new LocalLogHints();
  const store = new InMemoryEventStore({ hints });
  const door = inMemoryDoor(store);
  return {
    store,
    hints,
    door,

    request: async (change: Partial<JobRequest> = {}): Promise<string> => {
      const jobId = randomUUID();
      await execute(door, jobId, { type: 'RequestJob', at: new Date(), data: request(change) });
      return jobId;
    },

    execute: (jobId: string, command: JobCommand) => execute(door, jobId, command),

    /** Claims the job and runs it once: until it ends, pauses, or waits for its next attempt. */
    run: async (
      jobId: string,
      workflow: Workflow,
      options: Partial<RunServices> & { signals?: Partial<RunSignals> } = {},
    ): Promise<RunEnd> => {
      const services = { door, logger: silent, random: () => 0, ...options };
      const claim = await claimJob(
        jobId,
        { ...services, workerId: 'w1', code: codeOf(workflow) },
        never(),
      );
      if (typeof claim === 'string') throw new Error(`Nothing to claim: ${claim}`);
      const signals = { lost: never(), drain: never(), release: never(), ...options.signals };
      return await runJob(claim, workflow, services, signals);
    },

    events: (jobId: string): Promise<readonly Recorded<JobEvent>[]> =>
      store.readStream<JobEvent>(jobId),

    types: async (jobId: string): Promise<readonly string[]> =>
      (await store.readStream(jobId)).map(({ type }) => type),

    last: async <T extends JobEvent['type']>(
      jobId: string,
      type: T,
    ): Promise<Extract<Recorded<JobEvent>, { type: T }>> => {
      const found = (await store.readStream<JobEvent>(jobId)).findLast((e) => e.type === type);
      if (found === undefined) throw new Error(`No ${type} in ${jobId}`);
      return found as Extract<Recorded<JobEvent>, { type: T }>;
    },

    resume: (jobId: string, payload: unknown = null) =>
      execute(door, jobId, {
        type: 'ResumeJob',
        at: new Date(),
        data: {
          waitId: null,
          outcome: {
            kind: 'signal',
            signalId: randomUUID(),
            event: 'done',
            key: null,
            payload: payload as null,
          },
        },
      }),
  };
}

export const workflow = (
  run: WorkflowDefinition['run'],
  change: Partial<WorkflowDefinition> = {},
): Workflow => defineWorkflow({ name: 'review', run, ...change });

export const never = (): AbortSignal => new AbortController().signal;

/** A promise and its settlers. */
export function gate<T = void>() {
  let open: (value: T) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const opened = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open, fail };
}

const execute = (door: Door, jobId: string, command: JobCommand) =>
  door.execute(new DecideJob(jobId, command));
