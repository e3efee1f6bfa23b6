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

/** What grants access to one host. The token is sent to this address and to no other. */
export type HostAccess = Readonly<{ token: string; apiUrl: string }>;

/** By provider; one that is not there is not reported to. */
export type ReportingSettings = Readonly<Record<string, HostAccess | undefined>>;

/** The host will not do what it was asked to, however often it is asked. */
export class HostRefused extends Error {
  override readonly name = 'HostRefused';

  constructor(
    message: string,
    /** Of HTTP; 0 where the host was not asked at all. */
    readonly status: number,
  ) {
    super(message);
  }
}
