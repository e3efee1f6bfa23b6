import { DecideJob, type Door } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { Rejected } from '../write/rejected.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { inParallel } from './in-parallel.ts';

/** Enough to fill the append lane's batches, and few enough to leave room for others. */
const PARALLEL_COMMANDS = 32;

export type Order = Readonly<{
  jobId: string;
  command: JobCommand;
  commandId: string;
  /** Only while the job is where the tables say. */
  expectedVersion?: number;
}>;

export type OrderParts = Readonly<{ door: Door; counts: DispatchCounts }>;

/**
 * Puts each command to its job and counts those that had an effect. A refusal means that the job has moved on since
 * the tables were read: what follows from that comes with the log.
 */
export async function carryOut(
  orders: readonly Order[],
  { door, counts }: OrderParts,
): Promise<number> {
  let effective = 0;
  await inParallel(orders, PARALLEL_COMMANDS, async ({ jobId, command, ...options }) => {
    try {
      const { events } = await door.execute(
        new DecideJob(jobId, command, { ...options, actor: 'dispatcher' }),
      );
      if (events.length > 0) effective++;
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      counts.movedOn++;
    }
  });
  return effective;
}
