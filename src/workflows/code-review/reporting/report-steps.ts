import { isRetryAfter } from '../../../sdk/errors.ts';
import { RetryAfter, type Trigger, type WorkflowContext } from '../../../sdk/index.ts';
import { HostRefused, type HostsAccess } from '../../../hosts/host-access.ts';
import type { Report } from './host-reporter.ts';
import { type Target, targetOf } from './target.ts';

/** What the job's result says of the reporting. */
export type ReportingNote = Readonly<{ reported: boolean; error?: string }>;

/** How a review tells its host about itself. What ends a job without a result is told by `reportEnd`. */
export type ReportSteps = Readonly<{
  /** Never fails the job: the review matters more than that it is announced. */
  begin: () => Promise<void>;
  /**
   * Fails the attempt where the next one may succeed, and gives a note where none would, or none is left: findings
   * are not lost for a wrong token.
   */
  end: (headSha: string, report: Extract<Report, { state: 'finished' }>) => Promise<ReportingNote>;
}>;

/** null: nothing is reported, and nobody is asked. */
export function reportSteps(
  ctx: WorkflowContext,
  trigger: Trigger,
  settings: HostsAccess,
): ReportSteps | null {
  const target = targetOf({ jobId: ctx.job.id, trigger }, settings);
  if (target === null) return null;
  const { change, reporter } = target;
  let notBefore = 0;
  return {
    async begin() {
      notBefore = await begin(ctx, target);
    },
    end: (headSha, report) =>
      ctx.step('report-result', async () => {
        try {
          const delayMs = notBefore - Date.now();
          if (delayMs > 0) throw new RetryAfter('The host still limits the rate', delayMs);
          await reporter.report({ ...change, headSha }, report, ctx.signal);
          return { reported: true };
        } catch (error) {
          if (!(error instanceof HostRefused) && !isLast(ctx)) throw error;
          warn(ctx, error, 'The host was not told what the review has found');
          return { reported: false, error: messageOf(error) };
        }
      }),
  };
}

/** Gives the time until which the host wants to be left alone. */
async function begin(ctx: WorkflowContext, { change, reporter }: Target): Promise<number> {
  const kept = await ctx.step('report-pending', async () => {
    try {
      await reporter.report(change, { state: 'pending' }, ctx.signal);
      return { error: null, notBefore: 0 };
    } catch (error) {
      warn(ctx, error, 'The host was not told that the review has begun');
      const notBefore = isRetryAfter(error) ? Date.now() + error.delayMs : 0;
      return { error: messageOf(error), notBefore };
    }
  });
  return kept.notBefore;
}

const isLast = ({ job }: WorkflowContext): boolean => job.attempt >= job.maxAttempts;

function warn({ logger }: WorkflowContext, error: unknown, message: string): void {
  logger.warn(message, { error: messageOf(error) });
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
