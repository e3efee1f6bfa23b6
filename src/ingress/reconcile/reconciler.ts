import type { HostsAccess } from '../../hosts/host-access.ts';
import { HostRefused } from '../../hosts/host-access.ts';
import { addressOf } from '../../hosts/host-address.ts';
import { HostClient } from '../../hosts/host-client.ts';
import type { Queryable } from '../../platform/database.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import { isRetryAfter } from '../../sdk/errors.ts';
import type { Door } from '../../write/door.ts';
import type { Plan } from '../webhooks/plan-jobs.ts';
import { reconcileDeliveries } from './lost-deliveries.ts';
import { reconcileHeads } from './lost-heads.ts';
import type { Asking, LostDelivery, LostHead, ReconcileReport } from './report.ts';
import { repositoriesOf } from './repositories.ts';

export type ReconcilerParts = Readonly<{
  database: Queryable;
  door: Door;
  plan: Plan;
  access: HostsAccess;
  clock: () => Date;
  /** For how long a head must be missing: its delivery may still be on its way. */
  graceMs: number;
}>;

type Outcome = { deliveries: LostDelivery[]; heads: LostHead[]; problems: string[] };

/**
 * Finds what the hosts have told of and what did not arrive, and makes up for it: GitHub is asked to send lost
 * deliveries again; of the others, and where the token may not see GitHub's hooks, the open pull requests are listed,
 * and heads that nobody has told of get their jobs. Done again, it does nothing again.
 */
export class Reconciler {
  private readonly watermarks = new Map<string, Date>();
  private readonly missingSince = new Map<string, Date>();
  /** By provider: until when the host wants to be left alone. */
  private readonly notBefore = new Map<string, Date>();

  constructor(private readonly parts: ReconcilerParts) {}

  /** null: there is no token for the source's host. */
  async reconcile(
    source: WebhookSource,
    { dryRun, signal }: Readonly<{ dryRun: boolean; signal: AbortSignal }>,
  ): Promise<ReconcileReport | null> {
    const access = this.parts.access[source.provider];
    const address = access === undefined ? null : addressOf(source.provider, access);
    if (address === null) return null;
    const { database, clock } = this.parts;
    const now = clock();
    const outcome: Outcome = { deliveries: [], heads: [], problems: [] };
    const report = { source: source.name, repositories: 0, ...outcome };
    const notBefore = this.notBefore.get(source.provider);
    if (notBefore !== undefined && now < notBefore) {
      const problems = [`${address.name} wants to be left alone until ${notBefore.toISOString()}`];
      return { ...report, problems };
    }
    const { apiUrl } = address;
    const repositories = await repositoriesOf(database, source, { apiUrl, now });
    const asking = {
      client: new HostClient(address, signal),
      database,
      source,
      now,
      dryRun,
      hooksDone: new Set<string>(),
      watermarks: this.watermarks,
    };
    for (const repository of repositories) {
      if (signal.aborted || !(await this.ask(repository, asking, outcome))) break;
    }
    return { ...report, repositories: repositories.length };
  }

  /** Whether it makes sense to ask about another repository. */
  private async ask(repository: string, asking: Asking, outcome: Outcome): Promise<boolean> {
    const { source, now } = asking;
    try {
      const isDone =
        source.provider === 'github' &&
        (await reconcileDeliveries(repository, asking, outcome.deliveries));
      if (!isDone) outcome.heads.push(...(await this.heads(repository, asking)));
      return true;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      outcome.problems.push(`${repository}: ${why}`);
      if (isRetryAfter(error)) {
        this.notBefore.set(source.provider, new Date(now.getTime() + error.delayMs));
      }
      // A repository that is not there says nothing of the next one; a token that is wrong does, and a host that is down.
      return error instanceof HostRefused && error.status !== 401;
    }
  }

  private heads(repository: string, asking: Asking): Promise<readonly LostHead[]> {
    const { door, plan, graceMs } = this.parts;
    return reconcileHeads(repository, asking, {
      door,
      plan,
      isDue: (key) => {
        const since = this.missingSince.get(key) ?? asking.now;
        this.missingSince.set(key, since);
        return asking.now.getTime() - since.getTime() >= graceMs;
      },
    });
  }
}
