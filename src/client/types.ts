/** The API's own shapes, as docs/schema.graphql has them; a test holds one against the other. */

/** Anything that `JSON.stringify` keeps whole. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** RFC 3339 in UTC. */
export type DateTime = string;

/** A place in the log, in decimal: `BigInt(position)` compares. */
export type Position = string;

export type Provider =
  | 'GITHUB'
  | 'GITLAB'
  | 'BITBUCKET_CLOUD'
  | 'BITBUCKET_DC'
  | 'AZURE_REPOS'
  | 'GITEA'
  | 'FORGEJO'
  | 'MANUAL';

export type JobStatus =
  | 'REQUESTED'
  | 'RUNNING'
  | 'PAUSED'
  | 'RETRYING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELLED'
  | 'SUPERSEDED';

export type ErrorClassification =
  'TRANSIENT' | 'RATE_LIMITED' | 'TIMEOUT' | 'INTERRUPTED' | 'PERMANENT';

export type StepStatus = 'RUNNING' | 'COMPLETED' | 'FAILED';

export type Repository = Readonly<{
  fullName: string;
  url: string | null;
  cloneUrl: string | null;
}>;

export type PullRequest = Readonly<{
  number: number;
  title: string | null;
  url: string | null;
  headRepository: string | null;
  baseBranch: string | null;
  baseSha: string | null;
  /** null where the host does not say. */
  labels: readonly string[] | null;
  /** null where the host does not say. */
  draft: boolean | null;
}>;

export type Comment = Readonly<{
  text: string;
  author: string | null;
  /** As `review` of `/review`, by somebody who may give commands. */
  command: string | null;
}>;

/** What a webhook said, the same for every host. */
export type Trigger = Readonly<{
  provider: Provider;
  source: string;
  deliveryId: string;
  event: string;
  action: string;
  repository: Repository | null;
  pullRequest: PullRequest | null;
  ref: string | null;
  headSha: string | null;
  baseSha: string | null;
  sender: string | null;
  /** The files that a push changed; null where the host does not say. */
  paths: readonly string[] | null;
  morePaths: boolean | null;
  comment: Comment | null;
}>;

export type Wait = Readonly<{
  event: string;
  key: string | null;
  until: DateTime | null;
  /** Set when a person is asked. */
  approval: Approval | null;
}>;

/** `approvers`: whose answer counts; null: everybody's who may answer. */
export type Approval = Readonly<{ name: string; approvers: readonly string[] | null }>;

export type JobError = Readonly<{
  message: string;
  name: string | null;
  classification: ErrorClassification;
  attempt: number;
  at: DateTime;
  /** The step whose error it was, if it was one's. */
  step: string | null;
}>;

export type JobStep = Readonly<{
  name: string;
  status: StepStatus;
  attempt: number;
  startedAt: DateTime | null;
  finishedAt: DateTime | null;
  output: Json;
  error: string | null;
}>;

export type Progress = Readonly<{ percent: number; message: string | null; at: DateTime }>;

/** A job with all that the API says of it but its history, which `events` gives. */
export type Job = Readonly<{
  id: string;
  workflow: string;
  status: JobStatus;
  trigger: Trigger;
  concurrencyKey: string | null;
  priority: number;
  attempt: number;
  maxAttempts: number;
  requestedAt: DateTime;
  startedAt: DateTime | null;
  finishedAt: DateTime | null;
  updatedAt: DateTime;
  waitingFor: Wait | null;
  nextAttemptAt: DateTime | null;
  error: JobError | null;
  result: Json;
  supersededBy: string | null;
  workerId: string | null;
  correlationId: string;
  version: number;
  position: Position;
  steps: readonly JobStep[];
  progress: Progress | null;
}>;

/** One event of the log. A signal is one too: its `jobId` is the signal's id. */
export type JobEvent = Readonly<{
  id: string;
  position: Position;
  jobId: string;
  version: number;
  type: string;
  data: Json;
  causationId: string | null;
  correlationId: string | null;
  recordedAt: DateTime;
}>;

/** Why the server did not do what was asked, and which argument is about it. */
export type UserError = Readonly<{
  code: string;
  message: string;
  field: readonly string[] | null;
}>;

export type RequestJobInput = Readonly<{
  workflow: string;
  repository: string;
  cloneUrl?: string | null;
  pullRequest?: number | null;
  ref?: string | null;
  headSha?: string | null;
  baseSha?: string | null;
  input?: Json;
  priority?: number | null;
  /** The same key is the same job, however often it is requested. */
  idempotencyKey?: string | null;
}>;
