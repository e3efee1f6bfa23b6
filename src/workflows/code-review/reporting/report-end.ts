import type { Trigger } from '../../../sdk/index.ts';
import type { HostsAccess } from '../../../hosts/host-access.ts';
import { targetOf } from './target.ts';

/** A job of `code-review` that ended without a result. */
export type EndedJob = Readonly<{
  jobId: string;
  trigger: Trigger;
  end: Readonly<{ state: 'superseded' | 'cancelled' } | { state: 'failed'; reason: string }>;
}>;

/**
 * Tells the host of it, where that still shows the job's review as pending. May throw what `HostReporter.report`
 * throws; may be repeated.
 */
export async function reportEnd(
  { jobId, trigger, end }: EndedJob,
  settings: HostsAccess,
  signal: AbortSignal,
): Promise<void> {
  const target = targetOf({ jobId, trigger }, settings);
  await target?.reporter.report(target.change, end, signal);
}
