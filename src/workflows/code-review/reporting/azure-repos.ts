import { z } from 'zod';

import { type Comments, inHtml } from './comment.ts';
import { type HostClient, ownerAndName, path } from '../../../hosts/host-client.ts';
import type { Change } from './host-reporter.ts';
import type { HostDefinition } from './reporter.ts';
import { type Outcome, type Status, setOnce } from './status.ts';

/** Azure Repos: a status of the pull request's iteration, and a thread with one comment. */
export const azureRepos: HostDefinition = {
  open: (client, change) => ({
    setStatus: (status) => setStatus(client, change, status),
    comments: threads(client, change),
  }),
};

const STATES = {
  pending: 'pending',
  passed: 'succeeded',
  rejected: 'failed',
  failed: 'error',
  superseded: 'notApplicable',
  cancelled: 'notSet',
} as const satisfies Record<Outcome, string>;

const CONTEXT = { genre: 'jobledger', name: 'code-review' } as const;
const VERSION = 'api-version=7.1';

function pullRequestPath({ repository, pullRequest }: Change): string {
  const [project, name] = ownerAndName(repository);
  return path`/${project}/_apis/git/repositories/${name}/pullRequests/${pullRequest}`;
}

const Iterations = z.object({
  value: z.array(
    z.object({
      id: z.int(),
      sourceRefCommit: z.object({ commitId: z.string() }).nullish(),
    }),
  ),
});

const Statuses = z.object({
  value: z.array(
    z.object({
      id: z.int(),
      state: z.string().nullish(),
      description: z.string().nullish(),
      iterationId: z.int().nullish(),
      context: z.object({ genre: z.string().nullish(), name: z.string() }).nullish(),
    }),
  ),
});

/** Of the statuses of one iteration and context the newest counts; the older ones stay. */
async function setStatus(client: HostClient, change: Change, status: Status): Promise<void> {
  const pullRequest = pullRequestPath(change);
  const iterationId = await iterationOf(client, change);
  await setOnce(status, change, {
    states: STATES,
    async read() {
      const answer = await client.send('GET', `${pullRequest}/statuses?${VERSION}`);
      const [newest] = Statuses.parse(answer)
        .value.filter(({ context }) => context?.genre === CONTEXT.genre)
        .filter(({ context }) => context?.name === CONTEXT.name)
        .filter((each) => (each.iterationId ?? null) === iterationId)
        .toSorted((a, b) => b.id - a.id);
      if (newest === undefined) return null;
      return { state: newest.state ?? 'notSet', summary: newest.description ?? '' };
    },
    async write(state) {
      await client.send('POST', `${pullRequest}/statuses?${VERSION}`, {
        state,
        description: status.summary,
        context: CONTEXT,
        ...(iterationId !== null && { iterationId }),
        ...(change.url !== null && { targetUrl: change.url }),
      });
    },
  });
}

/** Each push is an iteration, so that an old head's status says nothing of a newer one. */
async function iterationOf(client: HostClient, change: Change): Promise<number | null> {
  const answer = await client.send('GET', `${pullRequestPath(change)}/iterations?${VERSION}`);
  const own = Iterations.parse(answer).value.findLast(
    ({ sourceRefCommit }) => sourceRefCommit?.commitId === change.headSha,
  );
  return own?.id ?? null;
}

const Threads = z.object({
  value: z.array(
    z.object({
      id: z.int(),
      isDeleted: z.boolean().nullish(),
      comments: z
        .array(
          z.object({
            id: z.int(),
            content: z.string().nullish(),
            isDeleted: z.boolean().nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

function threads(client: HostClient, change: Change): Comments {
  const all = `${pullRequestPath(change)}/threads`;
  return {
    hidden: inHtml,
    async *list() {
      const { value } = Threads.parse(await client.send('GET', `${all}?${VERSION}`));
      yield value.flatMap((thread) => {
        const first = thread.comments?.find(({ isDeleted }) => isDeleted !== true);
        if (first === undefined || thread.isDeleted === true) return [];
        const id = `${String(thread.id)}/${String(first.id)}`;
        return { id, body: first.content ?? '' };
      });
    },
    // Closed: a policy may demand that open threads are resolved before the merge.
    create: (content) =>
      client.send('POST', `${all}?${VERSION}`, {
        comments: [{ parentCommentId: 0, content, commentType: 'text' }],
        status: 'closed',
      }),
    edit({ id }, content) {
      const [thread = '', comment = ''] = id.split('/');
      const to = `${all}${path`/${thread}/comments/${comment}`}?${VERSION}`;
      return client.send('PATCH', to, { content });
    },
  };
}
