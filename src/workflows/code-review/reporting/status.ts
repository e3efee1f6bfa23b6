import type { Finding } from '../analysis.ts';
import type { Change, Report } from './host-reporter.ts';

/** What checks and statuses are called; what a rule that protects a branch names. */
export const NAME = 'jobledger/code-review';

/** `rejected`: there are findings that are errors. `failed`: there could be no review. */
export type Outcome = 'pending' | 'passed' | 'rejected' | 'failed' | 'superseded' | 'cancelled';

export type Status = Readonly<{
  outcome: Outcome;
  /** One line of at most 140 characters, which is what GitHub takes. */
  summary: string;
  findings: readonly Finding[];
}>;

const SUMMARY = 140;

export function statusOf(report: Report, { jobId }: Change): Status {
  if (report.state !== 'finished') {
    return { outcome: report.state, summary: SUMMARIES[report.state](jobId, report), findings: [] };
  }
  const { findings } = report;
  const isRejected = findings.some(({ severity }) => severity === 'error');
  return {
    outcome: isRejected ? 'rejected' : 'passed',
    summary: summaryOf(report),
    findings,
  };
}

/** By the job in it, its own pending status is told from another job's. */
const pendingSummary = (jobId: string): string => `Under review by job ${jobId}`;

const SUMMARIES: Readonly<
  Record<Exclude<Report['state'], 'finished'>, (jobId: string, report: Report) => string>
> = {
  pending: pendingSummary,
  superseded: () => 'A newer review took its place',
  cancelled: () => 'The review was cancelled',
  failed: (_, report) => {
    const reason = report.state === 'failed' ? report.reason : '';
    return oneLine(`Could not be reviewed: ${reason}`, SUMMARY);
  },
};

export function summaryOf(report: Extract<Report, { state: 'finished' }>): string {
  const { findings, findingsLeftOut, filesChanged, filesLeftOut } = report;
  const found = findings.length + findingsLeftOut;
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const count = found === 0 ? 'No findings' : plural(found, 'finding');
  const ofThem = errors === 0 ? '' : ` (${plural(errors, 'error')})`;
  const left = filesLeftOut === 0 ? '' : `, ${String(filesLeftOut)} of them not analysed`;
  return `${count}${ofThem} in ${plural(filesChanged, 'changed file')}${left}`;
}

const plural = (count: number, what: string): string =>
  `${String(count)} ${what}${count === 1 ? '' : 's'}`;

export function oneLine(text: string, longest: number): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length <= longest ? line : `${line.slice(0, longest - 1).trimEnd()}…`;
}

type Current = Readonly<{ state: string; summary: string }>;

/**
 * Sets a status of which the host keeps one per commit and name, unless it is set. The end of a job without a result
 * replaces that job's own pending status and no other: by now there may be that of a newer job.
 */
export async function setOnce(
  status: Status,
  { jobId }: Change,
  host: Readonly<{
    states: Readonly<Record<Outcome, string>>;
    read: () => Promise<Current | null>;
    write: (state: string, current: Current | null) => Promise<void>;
  }>,
): Promise<void> {
  const { outcome, summary } = status;
  const current = await host.read();
  const state = host.states[outcome];
  if (current?.state === state && current.summary === summary) return;
  const isOwn = current?.state === host.states.pending && current.summary === pendingSummary(jobId);
  if (isWithoutResult(outcome) && !isOwn) return;
  await host.write(state, current);
}

export const isWithoutResult = (outcome: Outcome): boolean =>
  outcome === 'superseded' || outcome === 'cancelled' || outcome === 'failed';
