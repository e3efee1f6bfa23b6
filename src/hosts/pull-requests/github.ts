import { z } from 'zod';

import { ownerAndName, path } from '../host-client.ts';
import { type HostPullRequest, type PullRequestApi, allPages, nextOf } from './pull-request-api.ts';

const Shape = z.object({
  number: z.int(),
  title: z.string(),
  html_url: z.string().nullish(),
  user: z.object({ login: z.string() }).nullish(),
  head: z.object({
    ref: z.string(),
    sha: z.string(),
    repo: z.object({ full_name: z.string() }).nullish(),
  }),
  base: z.object({
    ref: z.string(),
    sha: z.string(),
    repo: z.object({
      full_name: z.string(),
      html_url: z.string().nullish(),
      clone_url: z.string().nullish(),
    }),
  }),
});

/** GitHub, and those that have taken its API over; `sizeName` is what they call the size of a page. */
function api(sizeName: string, size: number): PullRequestApi {
  return {
    open: (client, repository) => {
      const [owner, name] = ownerAndName(repository);
      return allPages(1, async (page) => {
        const answer = await client.send(
          'GET',
          `${path`/repos/${owner}/${name}/pulls?state=open&page=${page}`}&${sizeName}=${String(size)}`,
        );
        const items = z.array(Shape).parse(answer);
        return { items: items.map(pullRequest), next: nextOf(items, size, page) };
      });
    },
    find: async (client, repository, number) => {
      const [owner, name] = ownerAndName(repository);
      const answer = await client.send('GET', path`/repos/${owner}/${name}/pulls/${number}`);
      return pullRequest(Shape.parse(answer));
    },
  };
}

export const github = api('per_page', 100);
export const gitea = api('limit', 50);

const pullRequest = (it: z.infer<typeof Shape>): HostPullRequest => ({
  repository: {
    fullName: it.base.repo.full_name,
    url: it.base.repo.html_url ?? null,
    cloneUrl: it.base.repo.clone_url ?? null,
  },
  number: it.number,
  title: it.title,
  url: it.html_url ?? null,
  author: it.user?.login ?? null,
  headRepository: it.head.repo?.full_name ?? null,
  headBranch: it.head.ref,
  headSha: it.head.sha,
  baseBranch: it.base.ref,
  baseSha: it.base.sha,
});
