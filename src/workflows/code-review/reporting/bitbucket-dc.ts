import { z } from 'zod';

import type { Severity } from '../analysis.ts';
import { type Comments, inLinkDefinition } from './comment.ts';
import { type HostClient, ownerAndName, path } from '../../../hosts/host-client.ts';
import type { Change } from './host-reporter.ts';
import type { HostDefinition } from './reporter.ts';
import { NAME, type Outcome, type Status, setOnce } from './status.ts';

/** Bitbucket Data Center from 7.4 on: a build status, a report with annotations, and a comment. */
export const bitbucketDc: HostDefinition = {
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
  superseded: 'CANCELLED',
  cancelled: 'CANCELLED',
} as const satisfies Record<Outcome, string>;

function repositoryPath({ repository }: Change): string {
  const [project, slug] = ownerAndName(repository);
  return path`/projects/${project}/repos/${slug}`;
}

const Build = z.object({ state: z.string(), description: z.string().nullish() });

async function setStatus(client: HostClient, change: Change, status: Status): Promise<void> {
  const { headSha, ref, url } = change;
  const builds = `/api/latest${repositoryPath(change)}${path`/commits/${headSha}/builds`}`;
  await setOnce(status, change, {
    states: STATES,
    async read() {
      const found = await client.find(`${builds}${path`?key=${NAME}`}`);
      if (found === null) return null;
      const { state, description } = Build.parse(found);
      return { state, summary: description ?? '' };
    },
    async write(state) {
      // The same key is the same status. Bitbucket demands a link.
      await client.send('POST', builds, {
        key: NAME,
        name: NAME,
        state,
        description: status.summary,
        ...(url !== null && { url }),
        ...(ref !== null && { ref: `refs/heads/${ref}` }),
      });
    },
  });
}

const REPORT = 'jobledger-code-review';
const ANNOTATIONS = 100;

const SEVERITIES = {
  error: 'HIGH',
  warning: 'MEDIUM',
  info: 'LOW',
  hint: 'LOW',
} as const satisfies Record<Severity, string>;

/** A report that is put again replaces the old one; its annotations are taken away first. */
async function annotate(client: HostClient, change: Change, status: Status): Promise<void> {
  const commit = `${repositoryPath(change)}${path`/commits/${change.headSha}`}`;
  const report = `/insights/latest${commit}/reports/${REPORT}`;
  await client.send('PUT', report, {
    title: 'Code review',
    details: status.summary,
    reporter: 'Jobledger',
    result: status.outcome === 'rejected' ? 'FAIL' : 'PASS',
  });
  await client.send('DELETE', `${report}/annotations`);
  if (status.findings.length === 0) return;
  const annotations = status.findings.slice(0, ANNOTATIONS).map((finding, index) => ({
    externalId: `${REPORT}-${String(index + 1)}`,
    path: finding.file,
    line: finding.line,
    severity: SEVERITIES[finding.severity],
    message: `${finding.rule}: ${finding.message}`.slice(0, 2000),
    type: 'CODE_SMELL',
  }));
  await client.send('POST', `${report}/annotations`, { annotations });
}

const Activities = z.object({
  values: z.array(
    z.object({
      action: z.string(),
      comment: z.object({ id: z.int(), version: z.int(), text: z.string() }).optional(),
    }),
  ),
  isLastPage: z.boolean().optional(),
  nextPageStart: z.int().nullish(),
});

const PAGE = 100;

function comments(client: HostClient, change: Change): Comments {
  const pullRequest = `/api/latest${repositoryPath(change)}${path`/pull-requests/${change.pullRequest}`}`;
  return {
    hidden: inLinkDefinition,
    // The comments themselves are listed only per file.
    async *list() {
      let start: number | null = 0;
      while (start !== null) {
        const query = path`/activities?limit=${PAGE}&start=${start}`;
        const page = Activities.parse(await client.send('GET', `${pullRequest}${query}`));
        yield page.values.flatMap(({ action, comment }) =>
          action === 'COMMENTED' && comment !== undefined
            ? { id: String(comment.id), body: comment.text, version: comment.version }
            : [],
        );
        start = page.isLastPage === false ? (page.nextPageStart ?? null) : null;
      }
    },
    create: (text) => client.send('POST', `${pullRequest}/comments`, { text }),
    edit: ({ id, version }, text) =>
      client.send('PUT', `${pullRequest}${path`/comments/${id}`}`, { text, version }),
  };
}
