import type { DeliveryRejection, SignalRejection } from '../../write/door.ts';
import type { JobRejection } from '../../write/job/commands.ts';
import { Rejected } from '../../write/rejected.ts';

/** A refusal that the caller can act on, as the schema gives it. */
export type UserError = Readonly<{
  code: string;
  message: string;
  field: readonly string[] | null;
}>;

type Refusal = JobRejection | SignalRejection | DeliveryRejection;

const MESSAGES = {
  'job-not-found': 'There is no job with this id',
  'job-finished': 'The job has ended: retry it, or leave it',
  'job-not-finished': 'The job has not ended: cancel it first, or wait',
  'job-superseded': 'A newer job took its place: retry that one',
  'job-already-running': 'A worker runs the job',
  'job-not-due': 'The job waits for something that has not come',
  'job-not-paused': 'The job does not wait for anything',
  'approval-not-asked': 'The job asks nobody for an approval now',
  'not-an-approver': 'The approval is for others to give: the job says who in waitingFor.approval',
  'stale-run': 'The run has lost the job',
  'step-not-found': 'No completed step of the job has this name',
  'version-conflict': 'The job has changed since: look at it again and decide anew',
  'signal-id-taken': 'The id is not free: send the signal with another',
  'delivery-not-found': 'There is no delivery with this id',
  'source-not-configured':
    'Its source is not configured here, and without its filters nobody can say what may start',
} as const satisfies Record<Refusal, string>;

const FIELDS: Partial<Record<Refusal, readonly string[]>> = {
  'job-not-found': ['id'],
  'step-not-found': ['fromStep'],
  'version-conflict': ['expectedVersion'],
  'signal-id-taken': ['id'],
  'delivery-not-found': ['deliveryId'],
  'source-not-configured': ['deliveryId'],
};

/** The refusal as data; whatever else was thrown is thrown on. */
export function toUserError(error: unknown): UserError {
  if (!(error instanceof Rejected)) throw error;
  // Only the rules of the write side reject, and each of their reasons is in the table.
  const reason = error.reason as Refusal;
  return userError(reason, MESSAGES[reason], FIELDS[reason] ?? null);
}

export const userError = (
  reason: string,
  message: string,
  field: readonly string[] | null = null,
): UserError => ({ code: reason.toUpperCase().replaceAll('-', '_'), message, field });
