import { issueComments, setCommitStatus } from './github-shapes.ts';
import type { HostDefinition } from './reporter.ts';
import type { Outcome } from './status.ts';

/** Gitea: a commit status and a comment. */
export const gitea: HostDefinition = {
  open: (client, change) => ({
    setStatus: (status) => setCommitStatus(client, change, status, STATES),
    comments: issueComments(client, change, false),
  }),
};

const STATES = {
  pending: 'pending',
  passed: 'success',
  rejected: 'failure',
  failed: 'error',
  superseded: 'warning',
  cancelled: 'error',
} as const satisfies Record<Outcome, string>;
