import { azureRepos } from './azure-repos.ts';
import { bitbucketCloud } from './bitbucket-cloud.ts';
import { bitbucketDc } from './bitbucket-dc.ts';
import { gitea } from './gitea.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import type { HostsAccess } from '../../../hosts/host-access.ts';
import type { HostReporter } from './host-reporter.ts';
import { type HostDefinition, reporterOf } from './reporter.ts';

const HOSTS: Readonly<Record<string, HostDefinition>> = {
  github,
  gitlab,
  'bitbucket-cloud': bitbucketCloud,
  'bitbucket-dc': bitbucketDc,
  'azure-repos': azureRepos,
  gitea,
  forgejo: gitea,
};

/** null: there is no token for that provider, so nothing is reported to it. */
export function createReporter(provider: string, settings: HostsAccess): HostReporter | null {
  const host = Object.hasOwn(HOSTS, provider) ? HOSTS[provider] : undefined;
  const access = Object.hasOwn(settings, provider) ? settings[provider] : undefined;
  return host === undefined || access === undefined ? null : reporterOf(provider, host, access);
}
