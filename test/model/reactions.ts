import type { Order } from '../../src/dispatch/carry-out.ts';
import { derivedId } from '../../src/platform/ids.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import type { ControlTables, Row } from './control-tables.ts';

/** What the reactions look at beside a row. */
type Now = Readonly<{
  at: Date;
  tables: ControlTables;
  isSilent: (workerId: string | null) => boolean;
}>;

type Orders = (row: Row, now: Now) => readonly Order[];

const isOver = (time: string | null | undefined, at: Date): boolean =>
  typeof time === 'string' && Date.parse(time) <= at.getTime();

const order = (jobId: string, command: JobCommand, commandId: string): readonly Order[] => [
  { jobId, command, commandId },
];

const timers: Orders = ({ job_id: id, wait, ...row }, { at }) => {
  const ended: JobCommand = {
    type: 'ResumeJob',
    at,
    data: { waitId: wait?.id ?? '', outcome: { kind: 'timeout' } },
  };
  return [
    ...(isOver(wait?.until, at)
      ? order(id, ended, derivedId('timeout', id, String(row.version)))
      : []),
    ...(isOver(row.deadline, at)
      ? order(id, { type: 'ExpireJob', at }, derivedId('expire', id, row.deadline ?? ''))
      : []),
  ];
};

const signals: Orders = (row, { at, tables }) => {
  const { job_id: id, version, wait } = row;
  const signal = tables.signalFor(row);
  if (signal === null || wait === null) return [];
  const outcome = { kind: 'signal', signalId: signal.id, ...signal.data } as const;
  const commandId = derivedId('resume', id, String(version), signal.id);
  return order(id, { type: 'ResumeJob', at, data: { waitId: wait.id, outcome } }, commandId);
};

const superseding: Orders = (row, { at, tables }) => {
  const { supersededBy: by } = tables.line(row);
  if (by === null) return [];
  const commandId = derivedId('supersede', row.job_id, by);
  return order(row.job_id, { type: 'SupersedeJob', at, data: { by } }, commandId);
};

const leases: Orders = ({ job_id: id, run_id: runId, worker_id: workerId }, now) => {
  if (runId === null || !now.isSilent(workerId)) return [];
  const data = { runId, reason: 'lease-expired' } as const;
  return order(
    id,
    { type: 'InterruptJob', at: now.at, data },
    derivedId('lease-expired', id, runId),
  );
};

/** The commands that the dispatcher's reactions put to the jobs of its tables, under the ids that they have there. */
export const ORDERS = { timers, signals, superseding, leases };

/** Lets workers take the jobs whose next attempt is due. */
export function releaseRetries(rows: Iterable<Row>, at: Date): void {
  for (const row of rows) {
    if (isOver(row.next_attempt_at, at)) row.released = true;
  }
}
