import { QUEUES } from '../messaging/topology.ts';
import type { Transport } from '../messaging/transport.ts';

/** Whether fewer hints stand in the queues than are out. A queue that cannot be counted counts as empty. */
export async function mayHaveLost(
  transport: Pick<Transport, 'queues'>,
  hinted: number,
): Promise<boolean> {
  const depths = await transport.queues().catch(() => []);
  const waiting = depths
    .filter(({ name }) => name === QUEUES.jobs || name === QUEUES.resumedJobs)
    .reduce((sum, { ready }) => sum + (ready ?? 0), 0);
  return waiting < hinted;
}
