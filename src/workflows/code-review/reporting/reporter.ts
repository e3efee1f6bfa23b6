import { z } from 'zod';

import type { Finding } from '../analysis.ts';
import { type Comments, comment } from './comment.ts';
import { type HostAccess, HostRefused } from '../../../hosts/host-access.ts';
import { addressOf } from '../../../hosts/host-address.ts';
import { HostClient } from '../../../hosts/host-client.ts';
import type { Change, HostReporter, Report } from './host-reporter.ts';
import { type Status, statusOf } from './status.ts';

/** What one host's API offers for one change. Each of it may be repeated. */
export type HostApi = Readonly<{
  setStatus: (status: Status) => Promise<void>;
  /** Shows findings on their lines, where the host lets that be repeated. */
  annotate?: (status: Status) => Promise<void>;
  comments: Comments;
}>;

/** All that is particular to one host. */
export type HostDefinition = Readonly<{
  open: (client: HostClient, change: Change) => HostApi;
}>;

/** null: there is no such host. */
export function reporterOf(
  provider: string,
  { open }: HostDefinition,
  access: HostAccess,
): HostReporter | null {
  const address = addressOf(provider, access);
  if (address === null) return null;
  const { name } = address;
  return {
    async report(change, given, signal) {
      const host = open(new HostClient(address, signal), change);
      const report = readable(given);
      const status = statusOf(report, change);
      const refusals: HostRefused[] = [];
      const parts = [() => host.setStatus(status)];
      if (report.state === 'finished') {
        parts.push(
          async () => host.annotate?.(status),
          () => comment(host.comments, change, report),
        );
      }
      // A token that may not comment may still set the status, and the other way round.
      for (const part of parts) await part().catch(refusalOf(name)).then(keepIn(refusals));
      const [first] = refusals;
      if (first === undefined) return;
      throw new HostRefused(refusals.map(({ message }) => message).join('; '), first.status);
    },
  };
}

/** Gives what would be refused again, and throws what may go better next time. */
const refusalOf =
  (name: string) =>
  (error: unknown): HostRefused => {
    if (error instanceof HostRefused) return error;
    if (!(error instanceof z.ZodError)) throw error;
    const [issue] = error.issues;
    const where = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
    return new HostRefused(`${name} answered in another shape than its API has (${where})`, 0);
  };

const keepIn =
  (refusals: HostRefused[]) =>
  (refusal: HostRefused | void): void => {
    if (refusal !== undefined) refusals.push(refusal);
  };

const ReadableFinding = z.object({
  file: z.string(),
  line: z.int().min(1),
  column: z.int().min(1),
  rule: z.string(),
  severity: z.enum(['error', 'warning', 'info', 'hint']),
  message: z.string(),
});

/** Findings came in a signal, which anybody with the right to send signals may have written. */
function readable(report: Report): Report {
  if (report.state !== 'finished') return report;
  const findings: Finding[] = report.findings.flatMap(
    (finding) => ReadableFinding.safeParse(finding).data ?? [],
  );
  return { ...report, findings };
}
