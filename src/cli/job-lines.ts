import type { JobView } from '../events/job-view.ts';
import { print } from './output.ts';

/** A job as `jobs show` prints it. */
export function printJob(view: JobView): void {
  const { trigger, waitingFor } = view;
  const lines: readonly (readonly [string, string | number | null | undefined])[] = [
    ['id', view.id],
    ['workflow', view.workflow],
    ['status', view.status],
    ['repository', trigger.repository?.fullName],
    ['pull request', trigger.pullRequest?.number],
    ['head', trigger.headSha],
    ['attempt', `${String(view.attempt)} of ${String(view.maxAttempts)}`],
    ['requested', view.requestedAt],
    ['started', view.startedAt],
    ['finished', view.finishedAt],
    ['worker', view.workerId],
    ['waits for', waitingFor && waitLine(waitingFor)],
    ['next attempt', view.nextAttemptAt],
    ['superseded by', view.supersededBy],
    errorOf(view),
    ['steps', stepsLine(view)],
    ['result', view.result === null ? null : JSON.stringify(view.result, null, 2)],
  ];
  for (const [name, value] of lines) {
    if (value !== null && value !== undefined && value !== '')
      print(`${name.padEnd(14)} ${String(value)}`);
  }
}

/** Of a job that went on, it is what its last failed try said. */
const errorOf = ({ status, error }: JobView): readonly [string, string | null] => [
  status === 'FAILED' ? 'error' : 'last error',
  error && errorLine(error),
];

function errorLine({
  message,
  classification,
  attempt,
  step,
}: NonNullable<JobView['error']>): string {
  const where = step === undefined ? '' : `, step ${step}`;
  return `${message} (${classification}, attempt ${String(attempt)}${where})`;
}

/** Where a job is, in a line. */
export function stateLine({ status, steps, waitingFor }: JobView): string {
  const last = steps.at(-1)?.name;
  return [
    status,
    ...(last === undefined ? [] : [`after ${last}`]),
    ...(waitingFor === null ? [] : [`waits for ${waitLine(waitingFor)}`]),
  ].join('  ');
}

function waitLine({ event, key, until, approval }: NonNullable<JobView['waitingFor']>): string {
  const approvers = approval?.approvers?.join(' or ');
  const by = approvers === undefined ? null : `of ${approvers}`;
  return [event, approval === null ? key : by, until].filter(Boolean).join(' ');
}

const stepsLine = ({ steps }: JobView): string =>
  steps.map(({ name, status }) => `${name}${status === 'FAILED' ? ' (failed)' : ''}`).join(', ');
