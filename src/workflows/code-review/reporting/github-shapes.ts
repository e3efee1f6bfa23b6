import { z } from 'zod';

import { type Comments, inHtml } from './comment.ts';
import { type HostClient, ownerAndName, path } from '../../../hosts/host-client.ts';
import type { Change } from './host-reporter.ts';
import { NAME, type Outcome, type Status, setOnce } from './status.ts';

// The parts of GitHub's API that Gitea and Forgejo have taken over.

const CombinedStatus = z.object({
  statuses: z
    .array(
      z.object({
        context: z.string(),
        // Gitea's word for it is `status`.
        state: z.string().optional(),
        status: z.string().optional(),
        description: z.string().nullish(),
      }),
    )
    .nullish(),
});

export async function setCommitStatus(
  client: HostClient,
  change: Change,
  status: Status,
  states: Readonly<Record<Outcome, string>>,
): Promise<void> {
  const [owner, name] = ownerAndName(change.repository);
  const { headSha, url } = change;
  await setOnce(status, change, {
    states,
    async read() {
      const answer = await client.send(
        'GET',
        path`/repos/${owner}/${name}/commits/${headSha}/status?per_page=100&limit=100`,
      );
      const found = CombinedStatus.parse(answer).statuses?.find(({ context }) => context === NAME);
      if (found === undefined) return null;
      return { state: found.state ?? found.status ?? '', summary: found.description ?? '' };
    },
    async write(state) {
      await client.send('POST', path`/repos/${owner}/${name}/statuses/${headSha}`, {
        state,
        context: NAME,
        description: status.summary,
        ...(url !== null && { target_url: url }),
      });
    },
  });
}

const IssueComments = z.array(
  z.object({
    id: z.int(),
    body: z
      .string()
      .nullish()
      .transform((body) => body ?? ''),
  }),
);

const PAGE = 100;

/** `isPaged`: Gitea gives all comments at once and ignores the number of the page. */
export function issueComments(client: HostClient, change: Change, isPaged: boolean): Comments {
  const [owner, name] = ownerAndName(change.repository);
  const all = path`/repos/${owner}/${name}/issues/${change.pullRequest}/comments`;
  return {
    hidden: inHtml,
    async *list() {
      for (let page = 1; ; page += 1) {
        const query = isPaged ? path`?per_page=${PAGE}&page=${page}` : '';
        const comments = IssueComments.parse(await client.send('GET', `${all}${query}`));
        yield comments.map(({ id, body }) => ({ id: String(id), body }));
        if (!isPaged || comments.length < PAGE) return;
      }
    },
    create: (body) => client.send('POST', all, { body }),
    edit: ({ id }, body) =>
      client.send('PATCH', path`/repos/${owner}/${name}/issues/comments/${id}`, { body }),
  };
}
