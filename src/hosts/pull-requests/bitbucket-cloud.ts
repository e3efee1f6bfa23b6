import { z } from 'zod';

import { ownerAndName, path } from '../host-client.ts';
import { type HostPullRequest, type PullRequestApi, allPages } from './pull-request-api.ts';

const Links = z.object({ html: z.object({ href: z.string() }).nullish() }).nullish();

const Side = z.object({
  branch: z.object({ name: z.string() }),
  /** null when it was deleted. */
  commit: z.object({ hash: z.string() }).nullish(),
  repository: z.object({ full_name: z.string(), links: Links }).nullish(),
});

const Shape = z.object({
  id: z.int(),
  title: z.string(),
  links: Links,
  author: z.object({ nickname: z.string().nullish() }).nullish(),
  source: Side,
  destination: Side,
});

const Page = z.object({ values: z.array(Shape), next: z.string().nullish() });

const SIZE = 50;

/** Its commits have 12 digits, in the API as in webhooks. */
export const bitbucketCloud: PullRequestApi = {
  open: async (client, repository) => {
    const [owner, name] = ownerAndName(repository);
    const all = await allPages(1, async (page) => {
      const answer = await client.send(
        'GET',
        path`/repositories/${owner}/${name}/pullrequests?state=OPEN&pagelen=${SIZE}&page=${page}`,
      );
      const { values, next } = Page.parse(answer);
      return { items: values, next: typeof next === 'string' ? page + 1 : null };
    });
    return all.flatMap((it) => pullRequest(it, repository) ?? []);
  },
  find: async (client, repository, number) => {
    const [owner, name] = ownerAndName(repository);
    const answer = await client.send(
      'GET',
      path`/repositories/${owner}/${name}/pullrequests/${number}`,
    );
    const found = pullRequest(Shape.parse(answer), repository);
    if (found === null) throw new Error(`Pull request ${String(number)} has no head commit`);
    return found;
  },
};

function pullRequest(it: z.infer<typeof Shape>, asked: string): HostPullRequest | null {
  const { source, destination } = it;
  if (!source.commit) return null;
  return {
    repository: repositoryOf(destination, asked),
    number: it.id,
    title: it.title,
    url: addressOf(it.links),
    author: it.author?.nickname ?? null,
    headRepository: source.repository?.full_name ?? null,
    headBranch: source.branch.name,
    headSha: source.commit.hash,
    baseBranch: destination.branch.name,
    baseSha: destination.commit?.hash ?? null,
  };
}

function repositoryOf(
  { repository }: z.infer<typeof Side>,
  asked: string,
): HostPullRequest['repository'] {
  const url = addressOf(repository?.links);
  const cloneUrl = url === null ? null : `${url}.git`;
  return { fullName: repository?.full_name ?? asked, url, cloneUrl };
}

const addressOf = (links: z.infer<typeof Links>): string | null => links?.html?.href ?? null;
