import type { JobRequest } from '../events/job.ts';
import type { Trigger } from '../events/trigger.ts';
import { type JsonValue, type Workflow, lineOf } from '../sdk/index.ts';
import { JobLog, type TestSignal } from './job-log.ts';
import { Observed, type StepFake } from './observed.ts';
import { TestRun } from './test-run.ts';
import { assertStarts, triggerFor } from './triggers.ts';

export type TestOptions = Readonly<{
  /** What starts the job. By default what the workflow's first matcher asks for. */
  trigger?: Trigger;
  /** As given with a request by hand. */
  input?: JsonValue;
  /** Sent right after the request, in this order; each is kept until the workflow waits for it. */
  signals?: readonly TestSignal[];
  /** What steps give, by their names, in place of their own functions. */
  steps?: Readonly<Record<string, StepFake>>;
  /** The time at which the job is requested. Default: 2026-01-01T00:00:00Z. */
  now?: Date;
  /** 0 to 1: which part of the longest delay a retry waits. Default 1; with 0, retries follow at once. */
  jitter?: number;
  jobId?: string;
}>;

const NOW = new Date('2026-01-01T00:00:00.000Z');
const JOB_ID = '00000000-0000-7000-8000-000000000001';

/**
 * Runs a workflow as a job in memory, by the engine and the rules of production, until it ends or waits. No server,
 * no database, and no time but the one that `run.advance` makes.
 */
export async function testWorkflow(
  workflow: Workflow,
  options: TestOptions = {},
): Promise<TestRun> {
  const { signals = [], now = NOW, jitter = 1, jobId = JOB_ID } = options;
  assertJitter(jitter);
  const observed = new Observed(workflow, options.steps ?? {});
  const log = new JobLog(jobId);
  await log.decide({ type: 'RequestJob', at: now, data: requestOf(workflow, options) });
  for (const signal of signals) await log.send(signal, now);
  const [requested] = await log.eventsAfter(0);
  if (requested === undefined) throw new Error(`The log has lost job ${jobId}`);
  const run = new TestRun({ log, observed, requested, now, jitter });
  await run.settle();
  return run;
}

function assertJitter(jitter: number): void {
  if (jitter >= 0 && jitter <= 1) return;
  throw new RangeError(`jitter is a number from 0 to 1, not ${String(jitter)}`);
}

function requestOf(
  workflow: Workflow,
  { trigger = triggerFor(workflow), input = null }: TestOptions,
): JobRequest {
  assertStarts(workflow, trigger);
  const { name, priority, concurrency, retry, timeouts } = workflow;
  const key = concurrency?.key(trigger) ?? null;
  return {
    workflow: name,
    trigger,
    input,
    priority,
    concurrency: concurrency && key !== null ? lineOf(concurrency, key) : null,
    retry,
    deliveryId: null,
    ...(timeouts.jobMs === null ? {} : { timeoutMs: timeouts.jobMs }),
  };
}
