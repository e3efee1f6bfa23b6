import { azureRepos } from './azure-repos.ts';
import { bitbucketCloud } from './bitbucket-cloud.ts';
import { bitbucketDc } from './bitbucket-dc.ts';
import { forgejo, gitea } from './gitea.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import type { WebhookProvider } from './provider.ts';

const PROVIDERS: Readonly<Record<WebhookProvider['name'], WebhookProvider>> = {
  github,
  gitlab,
  'bitbucket-cloud': bitbucketCloud,
  'bitbucket-dc': bitbucketDc,
  'azure-repos': azureRepos,
  gitea,
  forgejo,
};

/** The rules of one Git host. */
export const providerOf = (name: WebhookProvider['name']): WebhookProvider => PROVIDERS[name];
