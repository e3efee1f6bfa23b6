import { defineWorkflow, NonRetriable, type Trigger, type Workflow } from '../../sdk/index.ts';
import type { WorkflowContext } from '../../sdk/index.ts';
import { type Analysis, type Answer, parseAnswer } from './analysis.ts';
import type { Diff } from './fetch-diff.ts';
import { isWithoutHead } from './find-head-trigger.ts';
import { allowListOf } from './git/allow-list.ts';
import { type CodeReviewOptions, settingsOf } from './options.ts';
import type { HostsAccess } from '../../hosts/host-access.ts';
import type { Report } from './reporting/host-reporter.ts';
import type { ReportSteps } from './reporting/report-steps.ts';

const BUILT_IN = Symbol.for('jobledger.code-review');

/**
 * Reviews the lines that a pull request adds: fetches its two commits, has the analyser on the topic `ast`
 * match its rules, and gives the findings as its result. Throws a TypeError for a wrong `cloneAllow`.
 */
export function createCodeReview(options: CodeReviewOptions = {}): Workflow {
  const settings = settingsOf(options);
  const list = allowListOf(settings.cloneAllow, settings.dataDir);
  const workflow = defineWorkflow({
    name: 'code-review',
    on: [
      { event: 'pull_request', action: ['opened', 'synchronize', 'reopened'] },
      // It does not say what was updated.
      { provider: 'bitbucket-cloud', event: 'pull_request', action: 'updated' },
      { event: 'pull_request_comment', command: 'review' },
    ],
    concurrency: { key: concurrencyKey, strategy: 'supersede' },
    async run(ctx) {
      const trigger = await changeOf(ctx, settings.reporting);
      const reports = await reportsOf(ctx, trigger, settings.reporting);
      await reports?.begin();
      const diff = await ctx.step('fetch-diff', async () => {
        ctx.progress(5, 'Fetching the two commits');
        // Loaded when it is needed: roles that only plan jobs never are.
        const { fetchDiff } = await import('./fetch-diff.ts');
        return fetchDiff(trigger, { list, settings, signal: ctx.signal });
      });
      const analysis = await analysisOf(ctx, diff, settings.limits.answerMs);
      const note = await reports?.end(diff.headSha, reportOf(diff, analysis));
      return { ...resultOf(diff, analysis), ...(note && { reporting: note }) };
    },
  });
  return Object.defineProperty(workflow, BUILT_IN, { value: true });
}

/** Also when another copy of this package made it. */
export const isCodeReview = (workflow: object): boolean => BUILT_IN in workflow;

function concurrencyKey({ source, repository, pullRequest }: Trigger): string | null {
  if (repository === null || pullRequest === null) return null;
  return `${source} ${repository.fullName} ${String(pullRequest.number)}`;
}

const NOTHING: Analysis = { findings: [], findingsLeftOut: 0, skipped: [] };

/**
 * Asks until an answer is good. The log keeps every answer, also a bad one, so each is asked for anew under the
 * next number, after it has failed one attempt.
 */
async function analysisOf(ctx: WorkflowContext, diff: Diff, timeoutMs: number): Promise<Analysis> {
  if (diff.files.length === 0) return NOTHING;
  ctx.progress(40, `Analysing ${String(diff.files.length)} files`);
  for (let asked = 1; ; asked += 1) {
    const answer = await ask(ctx, diff, timeoutMs);
    if (!('error' in answer)) return answer;
    if (answer.error.permanent) throw new NonRetriable(answer.error.message);
    let isNew = false;
    await ctx.step(`unanswered ${String(asked)}`, () => {
      isNew = true;
      return answer.error.message;
    });
    if (isNew) throw new Error(answer.error.message);
  }
}

async function ask(ctx: WorkflowContext, diff: Diff, timeoutMs: number): Promise<Answer> {
  const { cloneUrl, forkUrl, headSha, headRefs, baseSha, files } = diff;
  const signal = await ctx.waitForEvent('ast.completed', {
    key: ctx.job.id,
    timeoutMs,
    request: { topic: 'ast', body: { cloneUrl, forkUrl, headSha, headRefs, baseSha, files } },
  });
  if (signal !== null) return parseAnswer(signal.payload);
  const message = `No analyser answered within ${String(timeoutMs / 1000)} seconds: is a worker running that takes workflow.events.ast?`;
  return { error: { message, permanent: false } };
}

/** Loaded when there is somebody to report to. */
async function reportsOf(
  ctx: WorkflowContext,
  trigger: Trigger,
  settings: HostsAccess,
): Promise<ReportSteps | null> {
  if (settings[trigger.provider] === undefined) return null;
  const { reportSteps } = await import('./reporting/report-steps.ts');
  return reportSteps(ctx, trigger, settings);
}

/** Most triggers have their commits; the host's API is loaded for the others only. */
async function changeOf(ctx: WorkflowContext, settings: HostsAccess): Promise<Trigger> {
  if (!isWithoutHead(ctx.job.trigger)) return ctx.job.trigger;
  const { withFoundHead } = await import('./find-head.ts');
  return withFoundHead(ctx, settings);
}

function reportOf(diff: Diff, analysis: Analysis): Extract<Report, { state: 'finished' }> {
  const { filesChanged, filesLeftOut } = diff;
  const { findings, findingsLeftOut } = analysis;
  return { state: 'finished', findings, findingsLeftOut, filesChanged, filesLeftOut };
}

function resultOf(diff: Diff, analysis: Analysis): object {
  const { repository, baseSha, headSha, filesChanged, filesLeftOut, files } = diff;
  const { findings, findingsLeftOut } = analysis;
  const skipped = [...diff.skipped, ...analysis.skipped];
  const isCut = filesLeftOut > 0 || findingsLeftOut > 0;
  return {
    repository,
    baseSha,
    headSha,
    filesChanged,
    filesAnalysed: files.length - analysis.skipped.length,
    findings,
    ...(skipped.length > 0 && { skipped }),
    ...(isCut && { truncated: { files: filesLeftOut, findings: findingsLeftOut } }),
  };
}
