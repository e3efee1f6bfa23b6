import { azureRepos } from './pull-requests/azure-repos.ts';
import { bitbucketCloud } from './pull-requests/bitbucket-cloud.ts';
import { bitbucketDc } from './pull-requests/bitbucket-dc.ts';
import { gitea, github } from './pull-requests/github.ts';
import { gitlab } from './pull-requests/gitlab.ts';
import type { PullRequestApi } from './pull-requests/pull-request-api.ts';

const HOSTS: Readonly<Record<string, PullRequestApi>> = {
  github,
  gitlab,
  'bitbucket-cloud': bitbucketCloud,
  'bitbucket-dc': bitbucketDc,
  'azure-repos': azureRepos,
  gitea,
  forgejo: gitea,
};

/** null: there is no such host. */
export const pullRequestApiOf = (provider: string): PullRequestApi | null =>
  Object.hasOwn(HOSTS, provider) ? (HOSTS[provider] ?? null) : null;
