import { z } from 'zod';

import { type Comments, inHtml } from './comment.ts';
import { type HostClient, path } from '../../../hosts/host-client.ts';
import type { Change } from './host-reporter.ts';
import type { HostDefinition } from './reporter.ts';
import { NAME, type Outcome, type Status, setOnce } from './status.ts';

/** gitlab.com and self-managed GitLab: a commit status and a note. */
export const gitlab: HostDefinition = {
  open: (client, change) => ({
    setStatus: (status) => setStatus(client, change, status),
    comments: notes(client, change),
  }),
};

const STATES = {
  pending: 'running',
  passed: 'success',
  rejected: 'failed',
  failed: 'failed',
  superseded: 'canceled',
  cancelled: 'canceled',
} as const satisfies Record<Outcome, string>;

const Statuses = z.array(
  z.object({
    id: z.int(),
    name: z.string(),
    status: z.string(),
    description: z.string().nullish(),
  }),
);

/** To set the state that a status has is an error to GitLab: a new review ends what another one left open. */
async function setStatus(client: HostClient, change: Change, status: Status): Promise<void> {
  const { repository, headSha, ref, url } = change;
  const post = (state: string, description: string): Promise<unknown> =>
    client.send('POST', path`/projects/${repository}/statuses/${headSha}`, {
      state,
      name: NAME,
      description,
      ...(ref !== null && { ref }),
      ...(url !== null && { target_url: url }),
    });
  await setOnce(status, change, {
    states: STATES,
    async read() {
      const answer = await client.send(
        'GET',
        path`/projects/${repository}/repository/commits/${headSha}/statuses?name=${NAME}&per_page=100`,
      );
      const [newest] = Statuses.parse(answer)
        .filter(({ name }) => name === NAME)
        .toSorted((a, b) => b.id - a.id);
      if (newest === undefined) return null;
      return { state: newest.status, summary: newest.description ?? '' };
    },
    async write(state, current) {
      if (state === STATES.pending && current?.state === STATES.pending) {
        await post(STATES.superseded, 'A newer review took its place');
      }
      await post(state, status.summary);
    },
  });
}

const Notes = z.array(z.object({ id: z.int(), body: z.string() }));

const PAGE = 100;

function notes(client: HostClient, { repository, pullRequest }: Change): Comments {
  const all = path`/projects/${repository}/merge_requests/${pullRequest}/notes`;
  return {
    hidden: inHtml,
    async *list() {
      for (let page = 1; ; page += 1) {
        const query = path`?sort=asc&order_by=created_at&per_page=${PAGE}&page=${page}`;
        const found = Notes.parse(await client.send('GET', `${all}${query}`));
        yield found.map(({ id, body }) => ({ id: String(id), body }));
        if (found.length < PAGE) return;
      }
    },
    create: (body) => client.send('POST', all, { body }),
    edit: ({ id }, body) => client.send('PUT', `${all}${path`/${id}`}`, { body }),
  };
}
