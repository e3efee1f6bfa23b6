import type { Trigger } from '../../events/trigger.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import type { PlannedJob, ReceivedDelivery } from '../../write/door.ts';
import { whyNoCommand, withCommand } from './commands.ts';
import { leftOutBy } from './filters.ts';
import type { Fact } from './provider.ts';
import type { ReadDelivery } from './interpret.ts';

/** The jobs that the workflows want for a trigger. */
export type Plan = (trigger: Trigger) => readonly PlannedJob[];

export type DeliveryPlan = Pick<ReceivedDelivery, 'triggers' | 'jobs' | 'outcome' | 'reason'>;

export type PlanRules = Readonly<{
  source: WebhookSource;
  deliveryId: string;
  plan: Plan;
  /** Prefixes of clone URLs that are no web addresses and may be kept: the folder of the sample. */
  localClones: readonly string[];
}>;

/** What an authentic delivery is to start, and why nothing, where it is nothing. */
export function planJobs(read: ReadDelivery, rules: PlanRules): DeliveryPlan {
  const triggers = read.facts.map((fact) => withCommand(toTrigger(fact, rules), rules.source));
  if (read.withheld !== null) {
    const outcome = read.unmappable ? 'unmappable' : 'ignored';
    return { triggers, jobs: [], outcome, reason: read.withheld };
  }
  const allowed = triggers.filter((trigger) => leftOutBy(trigger, rules.source) === null);
  const jobs = allowed.flatMap((trigger) =>
    rules.plan(trigger).map((planned) => ({ trigger, planned })),
  );
  if (jobs.length > 0) {
    return { triggers, jobs, outcome: 'accepted', reason: droppedReason(read) };
  }
  const [left] = allowed.length === 0 ? triggers : [];
  const leftOut = left === undefined ? null : leftOutBy(left, rules.source);
  return { triggers, jobs, outcome: 'ignored', reason: leftOut ?? notWanted(allowed) };
}

function toTrigger(fact: Fact, { source, deliveryId, localClones }: PlanRules): Trigger {
  const { repository } = fact;
  const cloneUrl = repository?.cloneUrl ?? null;
  const keep =
    cloneUrl?.startsWith('http') !== false ||
    localClones.some((prefix) => cloneUrl.startsWith(prefix));
  return {
    ...fact,
    repository: repository === null || keep ? repository : { ...repository, cloneUrl: null },
    provider: source.provider,
    source: source.name,
    deliveryId,
  };
}

function notWanted(triggers: readonly Trigger[]): string {
  const [first] = triggers;
  if (first === undefined) return 'The delivery holds nothing that a job could be for';
  if (first.event === 'ping') return 'A ping: the hook works';
  const command = first.comment?.command;
  if (command === 'cancel' && first.pullRequest !== null) {
    return `The command /cancel ends the open jobs of pull request ${String(first.pullRequest.number)}`;
  }
  const why = whyNoCommand(first);
  return why ?? `No workflow starts on ${first.event} ${first.action}`;
}

function droppedReason({ facts, dropped }: ReadDelivery): string | null {
  if (dropped === 0) return null;
  return `Truncated: only the first ${String(facts.length)} of ${String(facts.length + dropped)} facts were taken`;
}
