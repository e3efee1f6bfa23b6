export type { TestSignal } from './job-log.ts';
export type { LogLine, ProgressLine, StepFake } from './observed.ts';
export type { TestEvent, TestWait } from './shown-job.ts';
export type { TestRun } from './test-run.ts';
export type { TestOptions } from './test-workflow.ts';
export type { TriggerChange } from './triggers.ts';
export { testWorkflow } from './test-workflow.ts';
export { pullRequestTrigger, pushTrigger } from './triggers.ts';
