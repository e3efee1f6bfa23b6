import { z } from 'zod';

import { type HostClient, ownerAndName, path } from '../host-client.ts';
import { type HostPullRequest, type PullRequestApi, allPages, nextOf } from './pull-request-api.ts';

const Name = z.object({ name: z.string(), project: z.object({ name: z.string() }) });

const Shape = z.object({
  pullRequestId: z.int(),
  title: z.string(),
  createdBy: z.object({ uniqueName: z.string().nullish() }).nullish(),
  sourceRefName: z.string(),
  targetRefName: z.string(),
  /** Not there before Azure has looked whether the branches merge. */
  lastMergeSourceCommit: z.object({ commitId: z.string() }).nullish(),
  lastMergeTargetCommit: z.object({ commitId: z.string() }).nullish(),
  forkSource: z.object({ repository: Name.nullish() }).nullish(),
});

const Repository = Name.extend({ remoteUrl: z.string().nullish(), webUrl: z.string().nullish() });

type Shape = z.infer<typeof Shape>;

const SIZE = 100;
const VERSION = '7.1';

export const azureRepos: PullRequestApi = {
  open: async (client, repository) => {
    const [project, name] = ownerAndName(repository);
    const all = await allPages(0, async (page) => {
      const answer = await client.send(
        'GET',
        `${path`/${project}/_apis/git/repositories/${name}/pullrequests?searchCriteria.status=active`}&$top=${String(SIZE)}&$skip=${String(page * SIZE)}&api-version=${VERSION}`,
      );
      const { value } = z.object({ value: z.array(Shape) }).parse(answer);
      return { items: value, next: nextOf(value, SIZE, page) };
    });
    return all.length === 0 ? [] : completed(client, repository, all);
  },
  find: async (client, repository, number) => {
    const [project, name] = ownerAndName(repository);
    const answer = await client.send(
      'GET',
      path`/${project}/_apis/git/repositories/${name}/pullrequests/${number}?api-version=${VERSION}`,
    );
    const [found] = await completed(client, repository, [Shape.parse(answer)]);
    if (found === undefined) throw new Error(`Azure still prepares pull request ${String(number)}`);
    return found;
  },
};

/** The pull request does not say where its repository is cloned from. */
async function completed(
  client: HostClient,
  repository: string,
  all: readonly Shape[],
): Promise<readonly HostPullRequest[]> {
  const [project, name] = ownerAndName(repository);
  const own = Repository.parse(
    await client.send(
      'GET',
      path`/${project}/_apis/git/repositories/${name}?api-version=${VERSION}`,
    ),
  );
  return all.flatMap((it) => pullRequest(it, own) ?? []);
}

function pullRequest(it: Shape, own: z.infer<typeof Repository>): HostPullRequest | null {
  const { lastMergeSourceCommit: head, lastMergeTargetCommit: base } = it;
  if (!head) return null;
  return {
    repository: repositoryOf(own),
    number: it.pullRequestId,
    title: it.title,
    url: own.webUrl ? `${own.webUrl}/pullrequest/${String(it.pullRequestId)}` : null,
    author: it.createdBy?.uniqueName ?? null,
    headRepository: nameOf(it.forkSource?.repository ?? own),
    headBranch: branch(it.sourceRefName),
    headSha: head.commitId,
    baseBranch: branch(it.targetRefName),
    baseSha: base?.commitId ?? null,
  };
}

const repositoryOf = (own: z.infer<typeof Repository>): HostPullRequest['repository'] => ({
  fullName: nameOf(own),
  url: own.webUrl ?? null,
  cloneUrl: own.remoteUrl ?? null,
});

const nameOf = ({ name, project }: z.infer<typeof Name>): string => `${project.name}/${name}`;

const branch = (ref: string): string => ref.replace(/^refs\/heads\//, '');
