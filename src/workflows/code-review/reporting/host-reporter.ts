import type { Finding } from '../analysis.ts';

/** The pull request that is reported on, and the job that reviews it. */
export type Change = Readonly<{
  jobId: string;
  /** As the host writes it: `owner/name`, a GitLab path, `KEY/slug`, `project/repo`. */
  repository: string;
  pullRequest: number;
  headSha: string;
  /** The head branch. */
  ref: string | null;
  /** A link for people, never one that is called. */
  url: string | null;
}>;

export type Report =
  | Readonly<{ state: 'pending' | 'superseded' | 'cancelled' }>
  | Readonly<{ state: 'failed'; reason: string }>
  | Readonly<{
      state: 'finished';
      findings: readonly Finding[];
      findingsLeftOut: number;
      filesChanged: number;
      filesLeftOut: number;
    }>;

export type HostReporter = Readonly<{
  /**
   * Tells the host how the review stands. Repeated, it changes nothing: what is there is found and updated.
   * Throws `HostRefused` when asking again would be refused again, `RetryAfter` when the host limits the rate,
   * and any other error when it may go better next time.
   */
  report: (change: Change, report: Report, signal: AbortSignal) => Promise<void>;
}>;
