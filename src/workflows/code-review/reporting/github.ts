import { z } from 'zod';

import type { Finding, Severity } from '../analysis.ts';
import { issueComments, setCommitStatus } from './github-shapes.ts';
import { type HostClient, ownerAndName, path } from '../../../hosts/host-client.ts';
import { HostRefused } from '../../../hosts/host-access.ts';
import type { Change } from './host-reporter.ts';
import type { HostDefinition } from './reporter.ts';
import { NAME, type Outcome, type Status, isWithoutResult } from './status.ts';

/**
 * github.com and GitHub Enterprise Server: a check run with annotations, one per job. Only GitHub Apps may write
 * check runs; for the token of a person, and where a right is missing, it is a commit status.
 */
export const github: HostDefinition = {
  open: (client, change) => ({
    async setStatus(status) {
      if (await isCheckRunSet(client, change, status)) return;
      await setCommitStatus(client, change, status, STATES);
    },
    comments: issueComments(client, change, true),
  }),
};

/** There is nothing neutral among them, and what nobody reviewed must not look as if it had passed. */
const STATES = {
  pending: 'pending',
  passed: 'success',
  rejected: 'failure',
  failed: 'error',
  superseded: 'pending',
  cancelled: 'error',
} as const satisfies Record<Outcome, string>;

const CONCLUSIONS = {
  passed: 'success',
  rejected: 'failure',
  failed: 'failure',
  superseded: 'neutral',
  cancelled: 'cancelled',
} as const satisfies Record<Exclude<Outcome, 'pending'>, string>;

const CheckRuns = z.object({
  check_runs: z.array(
    z.object({
      id: z.int(),
      external_id: z.string().nullish(),
      status: z.string(),
      output: z.object({ annotations_count: z.int() }).nullish(),
    }),
  ),
});

type CheckRun = z.infer<typeof CheckRuns>['check_runs'][number];

const PAGE = 100;
const PAGES = 10;

async function isCheckRunSet(client: HostClient, change: Change, status: Status): Promise<boolean> {
  try {
    return await setCheckRun(client, change, status);
  } catch (error) {
    if (error instanceof HostRefused && (error.status === 403 || error.status === 404)) {
      return false;
    }
    throw error;
  }
}

/** false: there is no check run, and what is reported makes none. */
async function setCheckRun(client: HostClient, change: Change, status: Status): Promise<boolean> {
  const [owner, name] = ownerAndName(change.repository);
  const run = await findRun(client, change);
  if (isWithoutResult(status.outcome) && run?.status !== 'in_progress') return run !== null;
  if (status.outcome === 'pending' && run !== null) return true;
  const body = { ...progressOf(status.outcome), output: outputOf(status, run) };
  if (run !== null) {
    await client.send('PATCH', path`/repos/${owner}/${name}/check-runs/${run.id}`, body);
    return true;
  }
  await client.send('POST', path`/repos/${owner}/${name}/check-runs`, {
    name: NAME,
    head_sha: change.headSha,
    external_id: change.jobId,
    ...body,
  });
  return true;
}

async function findRun(client: HostClient, change: Change): Promise<CheckRun | null> {
  const [owner, name] = ownerAndName(change.repository);
  const all = path`/repos/${owner}/${name}/commits/${change.headSha}/check-runs?check_name=${NAME}&filter=all&per_page=${PAGE}`;
  for (let page = 1; page <= PAGES; page += 1) {
    const answer = await client.send('GET', `${all}${path`&page=${page}`}`);
    const runs = CheckRuns.parse(answer).check_runs;
    const own = runs.find((run) => run.external_id === change.jobId);
    if (own !== undefined) return own;
    if (runs.length < PAGE) break;
  }
  return null;
}

const progressOf = (outcome: Outcome): object =>
  outcome === 'pending'
    ? { status: 'in_progress' }
    : { status: 'completed', conclusion: CONCLUSIONS[outcome] };

/** What one request takes; they come with the conclusion, so that a run has all of them or none. */
const ANNOTATIONS = 50;

/** GitHub adds annotations to those that are there, so they are sent once. */
function outputOf({ summary, findings }: Status, run: CheckRun | null): object {
  const hasSome = (run?.output?.annotations_count ?? 0) > 0;
  return {
    title: summary,
    summary: 'Findings on the lines that the pull request adds.',
    ...(!hasSome &&
      findings.length > 0 && { annotations: findings.slice(0, ANNOTATIONS).map(annotationOf) }),
  };
}

const LEVELS = {
  error: 'failure',
  warning: 'warning',
  info: 'notice',
  hint: 'notice',
} as const satisfies Record<Severity, string>;

const annotationOf = ({ file, line, severity, rule, message }: Finding): object => ({
  path: file,
  start_line: line,
  end_line: line,
  annotation_level: LEVELS[severity],
  title: rule.slice(0, 255),
  message: message.slice(0, 4000),
});
