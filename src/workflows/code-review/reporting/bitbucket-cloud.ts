import { z } from 'zod';

import type { Severity } from '../analysis.ts';
import { type Comments, inLinkDefinition } from './comment.ts';
import { type HostClient, ownerAndName, path } from '../../../hosts/host-client.ts';
import type { Change } from './host-reporter.ts';
import type { HostDefinition } from './reporter.ts';
import { NAME, type Outcome, type Status, setOnce } from './status.ts';

/**
 * Bitbucket Cloud: a build status, a report with annotations, and a comment. A token with a colon is a name and a
 * password or API token, another one an access token.
 */
export const bitbucketCloud: HostDefinition = {
  open: (client, change) => ({
    setStatus: (status) => setStatus(client, change, status),
    annotate: (status) => annotate(client, change, status),
    comments: comments(client, change),
  }),
};

const STATES = {
  pending: 'INPROGRESS',
  passed: 'SUCCESSFUL',
  rejected: 'FAILED',
  failed: 'FAILED',
  superseded: 'STOPPED',
  cancelled: 'STOPPED',
} as const satisfies Record<Outcome, string>;

function repositoryPath({ repository }: Change): string {
  const [workspace, slug] = ownerAndName(repository);
  return path`/repositories/${workspace}/${slug}`;
}

const commitPath = (change: Change): string =>
  `${repositoryPath(change)}${path`/commit/${change.headSha}`}`;

const BuildStatus = z.object({ state: z.string(), description: z.string().nullish() });

async function setStatus(client: HostClient, change: Change, status: Status): Promise<void> {
  const builds = `${commitPath(change)}/statuses/build`;
  await setOnce(status, change, {
    states: STATES,
    async read() {
      const found = await client.find(`${builds}${path`/${NAME}`}`);
      if (found === null) return null;
      const { state, description } = BuildStatus.parse(found);
      return { state, summary: description ?? '' };
    },
    async write(state) {
      // The same key is the same status.
      await client.send('POST', builds, {
        key: NAME,
        name: NAME,
        state,
        description: status.summary,
        url: urlOf(change),
        ...(change.ref !== null && { refname: change.ref }),
      });
    },
  });
}

/** Bitbucket demands a link. */
const urlOf = ({ url, repository, pullRequest }: Change): string =>
  url ?? `https://bitbucket.org/${repository}/pull-requests/${String(pullRequest)}`;

const REPORT = 'jobledger-code-review';

/** What one request takes. */
const ANNOTATIONS = 100;

const SEVERITIES = {
  error: 'HIGH',
  warning: 'MEDIUM',
  info: 'LOW',
  hint: 'LOW',
} as const satisfies Record<Severity, string>;

/** Anew each time: a review of the same commit may find other things. */
async function annotate(client: HostClient, change: Change, status: Status): Promise<void> {
  const report = `${commitPath(change)}/reports/${REPORT}`;
  if ((await client.find(report)) !== null) await client.send('DELETE', report);
  await client.send('PUT', report, {
    title: 'Code review',
    details: status.summary,
    report_type: 'BUG',
    reporter: 'Jobledger',
    result: status.outcome === 'rejected' ? 'FAILED' : 'PASSED',
  });
  if (status.findings.length === 0) return;
  const annotations = status.findings.slice(0, ANNOTATIONS).map((finding, index) => ({
    external_id: `${REPORT}-${String(index + 1)}`,
    annotation_type: 'CODE_SMELL',
    path: finding.file,
    line: finding.line,
    severity: SEVERITIES[finding.severity],
    title: finding.rule.slice(0, 200),
    summary: `${finding.rule}: ${finding.message}`.slice(0, 450),
  }));
  await client.send('POST', `${report}/annotations`, annotations);
}

const CommentPage = z.object({
  values: z.array(
    z.object({
      id: z.int(),
      deleted: z.boolean().optional(),
      content: z.object({ raw: z.string().nullish() }),
    }),
  ),
  next: z.string().optional(),
});

const PAGE = 100;

function comments(client: HostClient, change: Change): Comments {
  const all = `${repositoryPath(change)}${path`/pullrequests/${change.pullRequest}/comments`}`;
  return {
    hidden: inLinkDefinition,
    async *list() {
      for (let page = 1; ; page += 1) {
        const query = path`?sort=created_on&pagelen=${PAGE}&page=${page}`;
        const { values, next } = CommentPage.parse(await client.send('GET', `${all}${query}`));
        yield values.flatMap(({ id, deleted, content }) =>
          deleted === true ? [] : { id: String(id), body: content.raw ?? '' },
        );
        // The address of the next page is the host's word; only whether there is one is heeded.
        if (next === undefined) return;
      }
    },
    create: (raw) => client.send('POST', all, { content: { raw } }),
    edit: ({ id }, raw) => client.send('PUT', `${all}${path`/${id}`}`, { content: { raw } }),
  };
}
