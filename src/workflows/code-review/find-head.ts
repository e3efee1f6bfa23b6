import { HostRefused, type HostsAccess } from '../../hosts/host-access.ts';
import { addressOf } from '../../hosts/host-address.ts';
import { HostClient } from '../../hosts/host-client.ts';
import { isSiteOf } from '../../hosts/public-sites.ts';
import { pullRequestApiOf } from '../../hosts/pull-requests.ts';
import type { Trigger, WorkflowContext } from '../../sdk/index.ts';
import { FIND_HEAD, type FoundHead, withHead } from './find-head-trigger.ts';

/**
 * The trigger with the commits that the pull request has now, as its host says, kept in a step: later runs review the
 * same ones. Without a token for the host it stays as it is, and the clone's own refs say where the head is.
 */
export async function withFoundHead(ctx: WorkflowContext, settings: HostsAccess): Promise<Trigger> {
  const { trigger } = ctx.job;
  const found = await ctx.step(FIND_HEAD, () => findHead(ctx, settings));
  return withHead(trigger, found);
}

async function findHead(ctx: WorkflowContext, settings: HostsAccess): Promise<FoundHead | null> {
  const { provider, repository, pullRequest } = ctx.job.trigger;
  const access = settings[provider];
  const address = access === undefined ? null : addressOf(provider, access);
  const api = pullRequestApiOf(provider);
  if (address === null || api === null || repository === null || pullRequest === null) return null;
  if (!isSiteOf(address.apiUrl, repository.cloneUrl)) return null;
  try {
    const client = new HostClient(address, ctx.signal);
    const it = await api.find(client, repository.fullName, pullRequest.number);
    const { headSha, headBranch: ref, headRepository, baseBranch, baseSha, title } = it;
    return { headSha, ref, headRepository, baseBranch, baseSha, title };
  } catch (error) {
    if (!(error instanceof HostRefused)) throw error;
    ctx.logger.warn('The host does not say which commit the head is', { error: error.message });
    return null;
  }
}
