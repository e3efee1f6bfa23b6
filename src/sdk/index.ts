export type { JsonValue, Trigger, TriggerMatcher } from './trigger.ts';
export { matches } from './trigger.ts';
export { lineOf, scheduleName } from './start-rules.ts';
export type { ConcurrencyRule, RateLimitRule, Schedule } from './start-rules.ts';
export type {
  JobView,
  Logger,
  RequestForWait,
  RetryOptions,
  SignalView,
  WaitOptions,
  Workflow,
  WorkflowContext,
  WorkflowDefinition,
} from './workflow.ts';
export { defineWorkflow } from './workflow.ts';
export { NonRetriable, RetryAfter } from './errors.ts';
