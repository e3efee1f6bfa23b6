export type { JsonValue, Trigger, TriggerMatcher } from './trigger.ts';
export { matches } from './trigger.ts';
export { lineOf, scheduleName } from './start-rules.ts';
export type { ConcurrencyRule, RateLimitRule, Schedule } from './start-rules.ts';
export type {
  AnySignalView,
  ApprovalOptions,
  ApprovalView,
  JobView,
  Logger,
  RequestForWait,
  SignalFilter,
  SignalView,
  StepCall,
  StepOptions,
  WaitOptions,
  WaitTimeout,
  WorkflowContext,
} from './context.ts';
export type { RetryOptions } from './retry.ts';
export type { Workflow, WorkflowDefinition } from './workflow.ts';
export { defineWorkflow } from './workflow.ts';
export { NonRetriable, RetryAfter, StepFailed } from './errors.ts';
