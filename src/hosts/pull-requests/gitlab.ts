import { z } from 'zod';

import { HostRefused } from '../host-access.ts';
import { type HostClient, path } from '../host-client.ts';
import { type HostPullRequest, type PullRequestApi, allPages, nextOf } from './pull-request-api.ts';

const MergeRequest = z.object({
  iid: z.int(),
  title: z.string(),
  web_url: z.string().nullish(),
  /** Not there while GitLab prepares a new one. */
  sha: z.string().nullish(),
  source_branch: z.string(),
  target_branch: z.string(),
  source_project_id: z.int().nullish(),
  target_project_id: z.int(),
  author: z.object({ username: z.string() }).nullish(),
});

const Project = z.object({
  path_with_namespace: z.string(),
  web_url: z.string().nullish(),
  http_url_to_repo: z.string().nullish(),
});

type MergeRequest = z.infer<typeof MergeRequest>;

const PAGE = 100;

/** It never says at which commit the target branch is. */
export const gitlab: PullRequestApi = {
  open: async (client, repository) => {
    const all = await allPages(1, async (page) => {
      const answer = await client.send(
        'GET',
        path`/projects/${repository}/merge_requests?state=opened&scope=all&per_page=${PAGE}&page=${page}`,
      );
      const items = z.array(MergeRequest).parse(answer);
      return { items, next: nextOf(items, PAGE, page) };
    });
    return all.length === 0 ? [] : completed(client, repository, all);
  },
  find: async (client, repository, number) => {
    const answer = await client.send('GET', path`/projects/${repository}/merge_requests/${number}`);
    const [found] = await completed(client, repository, [MergeRequest.parse(answer)]);
    if (found === undefined)
      throw new Error(`GitLab still prepares merge request ${String(number)}`);
    return found;
  },
};

async function completed(
  client: HostClient,
  repository: string,
  all: readonly MergeRequest[],
): Promise<readonly HostPullRequest[]> {
  const project = Project.parse(await client.send('GET', path`/projects/${repository}`));
  const names = await namesOfForks(client, all);
  return all.flatMap((it): HostPullRequest[] => {
    const { source_project_id: from, target_project_id: into, sha } = it;
    if (typeof sha !== 'string') return [];
    return [
      {
        repository: {
          fullName: project.path_with_namespace,
          url: project.web_url ?? null,
          cloneUrl: project.http_url_to_repo ?? null,
        },
        number: it.iid,
        title: it.title,
        url: it.web_url ?? null,
        author: it.author?.username ?? null,
        headRepository: from === into ? project.path_with_namespace : (names.get(from) ?? null),
        headBranch: it.source_branch,
        headSha: sha,
        baseBranch: it.target_branch,
        baseSha: null,
      },
    ];
  });
}

/** A merge request has only the number of its source. */
async function namesOfForks(
  client: HostClient,
  all: readonly MergeRequest[],
): Promise<ReadonlyMap<number | null | undefined, string>> {
  const forks = all.flatMap(({ source_project_id: from, target_project_id: into }) =>
    typeof from === 'number' && from !== into ? [from] : [],
  );
  const names = new Map<number | null | undefined, string>();
  for (const id of new Set(forks)) {
    try {
      const fork = await client.send('GET', path`/projects/${id}`);
      names.set(id, Project.parse(fork).path_with_namespace);
    } catch (error) {
      // The token may not see every fork.
      if (!(error instanceof HostRefused)) throw error;
    }
  }
  return names;
}
