import { z } from 'zod';

import { ownerAndName, path } from '../host-client.ts';
import { type HostPullRequest, type PullRequestApi, allPages } from './pull-request-api.ts';

const Ref = z.object({
  displayId: z.string(),
  latestCommit: z.string(),
  repository: z.object({
    slug: z.string(),
    project: z.object({ key: z.string() }),
    links: z
      .object({
        clone: z.array(z.object({ href: z.string(), name: z.string() })).nullish(),
        self: z.array(z.object({ href: z.string() })).nullish(),
      })
      .nullish(),
  }),
});

const Shape = z.object({
  id: z.int(),
  title: z.string(),
  author: z.object({ user: z.object({ name: z.string() }) }).nullish(),
  fromRef: Ref,
  toRef: Ref,
  links: z.object({ self: z.array(z.object({ href: z.string() })).nullish() }).nullish(),
});

const Page = z.object({
  values: z.array(Shape),
  isLastPage: z.boolean(),
  nextPageStart: z.int().nullish(),
});

const SIZE = 100;

export const bitbucketDc: PullRequestApi = {
  open: (client, repository) => {
    const [key, slug] = ownerAndName(repository);
    return allPages(0, async (start) => {
      const answer = await client.send(
        'GET',
        path`/api/latest/projects/${key}/repos/${slug}/pull-requests?state=OPEN&limit=${SIZE}&start=${start}`,
      );
      const { values, isLastPage, nextPageStart } = Page.parse(answer);
      return { items: values.map(pullRequest), next: isLastPage ? null : (nextPageStart ?? null) };
    });
  },
  find: async (client, repository, number) => {
    const [key, slug] = ownerAndName(repository);
    const answer = await client.send(
      'GET',
      path`/api/latest/projects/${key}/repos/${slug}/pull-requests/${number}`,
    );
    return pullRequest(Shape.parse(answer));
  },
};

const nameOf = ({ slug, project }: z.infer<typeof Ref>['repository']): string =>
  `${project.key}/${slug}`;

function pullRequest({ fromRef, toRef, ...it }: z.infer<typeof Shape>): HostPullRequest {
  return {
    repository: repositoryOf(toRef.repository),
    number: it.id,
    title: it.title,
    url: firstOf(it.links?.self),
    author: it.author?.user.name ?? null,
    headRepository: nameOf(fromRef.repository),
    headBranch: fromRef.displayId,
    headSha: fromRef.latestCommit,
    baseBranch: toRef.displayId,
    baseSha: toRef.latestCommit,
  };
}

function repositoryOf(it: z.infer<typeof Ref>['repository']): HostPullRequest['repository'] {
  const http = it.links?.clone?.find(({ name }) => name === 'http' || name === 'https');
  return { fullName: nameOf(it), url: firstOf(it.links?.self), cloneUrl: http?.href ?? null };
}

const firstOf = (links: readonly Readonly<{ href: string }>[] | null | undefined): string | null =>
  links?.[0]?.href ?? null;
