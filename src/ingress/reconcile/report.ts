import type { HostClient } from '../../hosts/host-client.ts';
import type { Queryable } from '../../platform/database.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';

/** A delivery that the host sent and the log does not have. */
export type LostDelivery = Readonly<{
  repository: string;
  deliveryId: string;
  event: string;
  at: Date;
  /** What it was answered; 0: nothing. */
  statusCode: number;
}>;

/** A job for the head of an open pull request that no delivery has told of. */
export type LostHead = Readonly<{
  repository: string;
  pullRequest: number;
  headSha: string;
  workflow: string;
  jobId: string;
}>;

/** What one look at one source's host found, and has done about unless it was a dry run. */
export type ReconcileReport = Readonly<{
  source: string;
  /** How many the host was asked about. */
  repositories: number;
  deliveries: readonly LostDelivery[];
  heads: readonly LostHead[];
  /** What could not be asked, and why. */
  problems: readonly string[];
}>;

/** One look at one host. */
export type Asking = Readonly<{
  client: HostClient;
  database: Queryable;
  source: WebhookSource;
  now: Date;
  dryRun: boolean;
  /** The hooks that were looked at in this run. */
  hooksDone: Set<string>;
  /** By hook: what is older was looked at in an earlier run. */
  watermarks: Map<string, Date>;
}>;
