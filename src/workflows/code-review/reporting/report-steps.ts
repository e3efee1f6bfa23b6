import { isNonRetriable, isRetryAfter } from '../../../sdk/errors.ts';
import { RetryAfter, type Trigger, type WorkflowContext } from '../../../sdk/index.ts';
import { createReporter } from './create-reporter.ts';
import {
  type Change,
  HostRefused,
  type HostReporter,
  type Report,
  type ReportingSettings,
} from './host-reporter.ts';
import { isSiteOf } from './public-sites.ts';

/** What the job's result says of the reporting. */
export type ReportingNote = Readonly<{ reported: boolean; error?: string }>;

/** How a review tells its host about itself. */
export type ReportSteps = Readonly<{
  /** Never fails the job: the review matters more than that it is announced. */
  begin: () => Promise<void>;
  /**
   * Fails the attempt where the next one may succeed, and gives a note where none would, or none is left: findings
   * are not lost for a wrong token.
   */
  end: (headSha: string, report: Extract<Report, { state: 'finished' }>) => Promise<ReportingNote>;
  /** Tells of an error that ends the job; never throws. */
  fail: (error: unknown) => Promise<void>;
}>;

/** null: nothing is reported, and nothing is asked. */
export function reportSteps(ctx: WorkflowContext, settings: ReportingSettings): ReportSteps | null {
  const { trigger } = ctx.job;
  const change = changeOf(ctx.job.id, trigger);
  const reporter = createReporter(trigger.provider, settings);
  const apiUrl = settings[trigger.provider]?.apiUrl;
  if (change === null || reporter === null || apiUrl === undefined) return null;
  if (!isSiteOf(apiUrl, trigger.repository?.cloneUrl ?? null)) return null;
  ctx.signal.addEventListener(
    'abort',
    () => {
      void tellIfTaken(ctx, reporter, change);
    },
    { once: true },
  );
  let notBefore = 0;
  return {
    async begin() {
      notBefore = await begin(ctx, reporter, change);
    },
    end: (headSha, report) =>
      end(ctx, reporter, { change: { ...change, headSha }, report, notBefore }),
    fail: (error) => fail(ctx, reporter, { change, error }),
  };
}

function changeOf(jobId: string, trigger: Trigger): Change | null {
  const { repository, pullRequest, headSha, ref } = trigger;
  if (repository === null || pullRequest === null || headSha === null) return null;
  const { number, url } = pullRequest;
  return {
    jobId,
    repository: repository.fullName,
    pullRequest: number,
    headSha,
    ref,
    url: url ?? repository.url,
  };
}

/** Gives the time until which the host wants to be left alone. */
async function begin(
  ctx: WorkflowContext,
  reporter: HostReporter,
  change: Change,
): Promise<number> {
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

async function end(
  ctx: WorkflowContext,
  reporter: HostReporter,
  { change, report, notBefore }: Readonly<{ change: Change; report: Report; notBefore: number }>,
): Promise<ReportingNote> {
  return await ctx.step('report-result', async () => {
    try {
      const delayMs = notBefore - Date.now();
      if (delayMs > 0) throw new RetryAfter('The host still limits the rate', delayMs);
      await reporter.report(change, report, ctx.signal);
      return { reported: true };
    } catch (error) {
      if (!(error instanceof HostRefused) && !isLast(ctx)) throw error;
      warn(ctx, error, 'The host was not told what the review has found');
      return { reported: false, error: messageOf(error) };
    }
  });
}

async function fail(
  ctx: WorkflowContext,
  reporter: HostReporter,
  { change, error }: Readonly<{ change: Change; error: unknown }>,
): Promise<void> {
  if (!isNonRetriable(error) && !isLast(ctx)) return;
  await ctx.step('report-failure', async () => {
    try {
      const reason = messageOf(error);
      await reporter.report(change, { state: 'failed', reason }, ctx.signal);
      return null;
    } catch (refusal) {
      warn(ctx, refusal, 'The host was not told that the review has failed');
      return messageOf(refusal);
    }
  });
}

const isLast = ({ job }: WorkflowContext): boolean => job.attempt >= job.maxAttempts;

const TAKEN_MS = 5000;

/** The last thing that a run of a job does which is no longer its own, as far as the time allows. */
async function tellIfTaken(
  ctx: WorkflowContext,
  reporter: HostReporter,
  change: Change,
): Promise<void> {
  const state = whyTaken(ctx.signal.reason);
  if (state === null) return;
  try {
    await reporter.report(change, { state }, AbortSignal.timeout(TAKEN_MS));
  } catch (error) {
    warn(ctx, error, `The host was not told that the review was ${state}`);
  }
}

/** Also a run that completes or pauses aborts its signal, and says so in the reason. */
function whyTaken(reason: unknown): 'superseded' | 'cancelled' | null {
  const text = messageOf(reason);
  if (text.endsWith('a newer job took its place')) return 'superseded';
  return text.endsWith('the job was cancelled') ? 'cancelled' : null;
}

function warn({ logger }: WorkflowContext, error: unknown, message: string): void {
  logger.warn(message, { error: messageOf(error) });
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
