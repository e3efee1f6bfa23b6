import type { Json } from '../events/event.ts';
import type { JobEvent, JobRequest } from '../events/job.ts';
import type { Provider, Trigger } from '../events/trigger.ts';
import type { JobCommand } from './job/commands.ts';
import type { JobState } from './job/decider.ts';

/**
 * The door into the write side: what edges, consumers and the CLI may ask for. The bus of `@nestjs/cqrs`
 * has this shape, so nobody outside needs to know Nest.
 */
export interface Door {
  /** Throws `Rejected<JobRejection>` when the command contradicts the job's history. */
  execute(command: DecideJob): Promise<JobDecision>;
  execute(command: ReceiveDelivery): Promise<DeliveryReceipt>;
  execute(command: SendSignal): Promise<SignalReceipt>;
  execute(command: Redeliver): Promise<Redelivery>;
}

/** Puts one command to one job's rules and appends what follows from it. */
export class DecideJob {
  constructor(
    readonly jobId: string,
    readonly command: JobCommand,
    readonly options: Readonly<{
      /** Makes the command repeatable: the same id has its effect once. Random when left out. */
      commandId?: string;
      /** Refuse with `version-conflict` unless the job is at this version. */
      expectedVersion?: number;
      /** The job as an earlier decision left it: saves reading its history. */
      known?: JobHistory;
      causationId?: string;
      correlationId?: string;
      actor?: string;
    }> = {},
  ) {}
}

/** Where a job stands: its folded events, and its place in the log. */
export type JobHistory = Readonly<{ state: JobState; version: number; position: bigint }>;

export type JobDecision = Readonly<{
  /** The job after the decision. */
  history: JobHistory;
  /** What was appended; empty when the command was a repetition. */
  events: readonly JobEvent[];
}>;

/** A job that a trigger is to start, as the workflow's definition says. */
export type PlannedJob = Pick<
  JobRequest,
  'workflow' | 'priority' | 'concurrency' | 'rateLimit' | 'retry' | 'timeoutMs'
>;

export type DeliveryOutcome = 'accepted' | 'ignored' | 'unmappable';

/**
 * Stores an authentic delivery and requests its jobs, both or neither. Throws `Rejected<DeliveryRefusal>` when it can
 * never be stored, and anything else when it may be another time.
 */
export class ReceiveDelivery {
  constructor(readonly delivery: ReceivedDelivery) {}
}

export type ReceivedDelivery = Readonly<{
  source: string;
  provider: Provider;
  /** The provider's id of the delivery. */
  deliveryId: string;
  /** What makes it the same delivery within its source, mostly `deliveryId`. */
  key: string;
  /** Whether the same body under another key is the same delivery, as the signature does not cover the key. */
  sameBodyIsDuplicate: boolean;
  event: string;
  action: string | null;
  outcome: DeliveryOutcome;
  reason: string | null;
  triggers: readonly Trigger[];
  /** The jobs to request, each with the trigger that it is for. */
  jobs: readonly Readonly<{ trigger: Trigger; planned: PlannedJob }>[];
  /** Without secrets. */
  headers: Readonly<Record<string, string>>;
  /** The exact bytes. */
  body: Buffer;
  receivedAt: Date;
  /** How many milliseconds its request has taken so far; or in all, where it was durable before. */
  elapsedMs?: () => number;
  /** It was durable before, in the spool. */
  wasSpooled?: boolean;
}>;

export type DeliveryReceipt =
  | Readonly<{
      status: 'new' | 'duplicate';
      /** The row's id, as the API gives it. */
      id: string;
      jobs: readonly Readonly<{ id: string; workflow: string }>[];
    }>
  /** The id was used before, by another body. */
  | Readonly<{ status: 'id-conflict' }>;

export type DeliveryRefusal = 'delivery-refused';

/** Stores a signal and resumes the jobs that wait for it. */
export class SendSignal {
  constructor(
    readonly signal: Readonly<{
      /** The same id is the same signal. */
      id: string;
      event: string;
      key: string | null;
      payload: Json;
      at: Date;
      actor?: string;
    }>,
  ) {}
}

export type SignalReceipt = Readonly<{
  signalId: string;
  position: bigint;
  /** The jobs that it resumed at once; one that pauses later still finds it. */
  resumed: readonly string[];
}>;

export type SignalRejection = 'signal-id-taken';

/**
 * Requests again what a stored delivery asks for today: jobs that are missing are requested, failed and cancelled ones
 * are retried, the others stay as they are. Throws `Rejected<DeliveryRejection>`.
 */
export class Redeliver {
  constructor(
    /** The row's id, or the provider's id of the delivery. */
    readonly deliveryId: string,
    readonly options: Readonly<{
      /** What it asks for by the sources and the workflows of today. */
      read: (stored: StoredDelivery) => Promise<RereadDelivery>;
      at: Date;
      actor?: string;
      /** Which ended jobs begin again; both without it. */
      retry?: readonly Retriable[];
      /** Says what would be done, and does nothing. */
      dryRun?: boolean;
    }>,
  ) {}
}

export type Retriable = 'failed' | 'cancelled';

export type StoredDelivery = Readonly<
  Pick<
    ReceivedDelivery,
    'source' | 'provider' | 'deliveryId' | 'event' | 'outcome' | 'triggers' | 'headers'
  > & {
    /** null once retention has removed it. */
    body: Buffer | null;
  }
>;

export type RereadDelivery = Pick<ReceivedDelivery, 'triggers' | 'jobs' | 'reason'>;

export type Redelivery = Readonly<{
  id: string;
  jobs: readonly Readonly<{ id: string; workflow: string; effect: RedeliveryEffect }>[];
  /** Why it asks for nothing, where it does. */
  reason: string | null;
}>;

export type RedeliveryEffect = 'requested' | 'retried' | 'none';

export type DeliveryRejection = 'delivery-not-found' | 'source-not-configured';
