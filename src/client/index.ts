export type { ClientOptions, JobledgerClient } from './client.ts';
export type { OnDisconnect, Retry } from './resumed.ts';
export type { EventsOptions } from './streams.ts';
export type {
  Approval,
  Comment,
  ErrorClassification,
  Job,
  JobError,
  JobEvent,
  JobStatus,
  JobStep,
  Json,
  Position,
  Progress,
  Provider,
  PullRequest,
  Repository,
  RequestJobInput,
  StepStatus,
  Trigger,
  UserError,
  Wait,
} from './types.ts';
export type { WebSocketConstructor, WebSocketLike } from './web-socket.ts';
export { createClient } from './client.ts';
export { JobledgerError } from './errors.ts';
