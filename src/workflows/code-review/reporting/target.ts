import type { Trigger } from '../../../sdk/index.ts';
import { createReporter } from './create-reporter.ts';
import type { HostsAccess } from '../../../hosts/host-access.ts';
import { isSiteOf } from '../../../hosts/public-sites.ts';
import type { Change, HostReporter } from './host-reporter.ts';

/** What is reported on, and to whom. */
export type Target = Readonly<{ change: Change; reporter: HostReporter }>;

/** null: nothing is reported on that trigger, and nobody is asked. */
export function targetOf(
  { jobId, trigger }: Readonly<{ jobId: string; trigger: Trigger }>,
  settings: HostsAccess,
): Target | null {
  const { provider, repository, pullRequest, headSha, ref } = trigger;
  const reporter = createReporter(provider, settings);
  const apiUrl = settings[provider]?.apiUrl;
  if (reporter === null || apiUrl === undefined) return null;
  if (repository === null || pullRequest === null || headSha === null) return null;
  if (!isSiteOf(apiUrl, repository.cloneUrl)) return null;
  const change = {
    jobId,
    repository: repository.fullName,
    pullRequest: pullRequest.number,
    headSha,
    ref,
    url: pullRequest.url ?? repository.url,
  };
  return { change, reporter };
}
