import type { Trigger } from '../events/trigger.ts';
import { bodyFormat } from '../ingress/webhooks/content-type.ts';
import { type FilterSight, filterSights } from '../ingress/webhooks/filters.ts';
import type { Interpretation, ReadDelivery } from '../ingress/webhooks/interpret.ts';
import { carryOut } from '../ingress/webhooks/interpreter.ts';
import { planJobs } from '../ingress/webhooks/plan-jobs.ts';
import { type ProblemName, Refused, problemAnswer } from '../ingress/webhooks/problem.ts';
import type { Headers } from '../ingress/webhooks/provider.ts';
import { providerOf } from '../ingress/webhooks/providers.ts';
import type { WebhookSource } from '../platform/webhook-sources.ts';
import { type FieldMatch, matchFields } from '../sdk/trigger.ts';
import type { DeliveryOutcome, PlannedJob } from '../write/door.ts';
import type { WorkflowCatalog } from '../workflows/index.ts';

/** A delivery as it is after its signature was found right. */
export type AuthenticDelivery = Readonly<{ source: WebhookSource; headers: Headers; body: Buffer }>;

/** How one matcher of a workflow sees one trigger; the trigger's number counts from 1. */
export type MatcherSight = Readonly<{
  trigger: number;
  passes: boolean;
  fields: readonly FieldMatch[];
}>;

export type WorkflowSight = Readonly<{
  workflow: string;
  starts: boolean;
  /** Why it does not start; null when it does. */
  reason: string | null;
  matchers: readonly MatcherSight[];
}>;

/** How one rule of the source sees one trigger; the trigger's number counts from 1. */
export type SourceSight = Readonly<{ trigger: number; sight: FilterSight }>;

/** What would become of a delivery, and why. */
export type Explanation = Readonly<{
  source: string;
  provider: WebhookSource['provider'];
  event: string | null;
  action: string | null;
  deliveryId: string | null;
  /** Of the answer, if the delivery is new. */
  status: number;
  outcome: DeliveryOutcome | ProblemName;
  reason: string | null;
  triggers: readonly Trigger[];
  jobs: readonly (Pick<PlannedJob, 'workflow' | 'priority' | 'concurrency'> &
    Readonly<{ trigger: number }>)[];
  /** Every rule of the source, with every trigger. */
  filters: readonly SourceSight[];
  workflows: readonly WorkflowSight[];
}>;

type Rules = Readonly<{ catalog: WorkflowCatalog; localClones: readonly string[] }>;

/** Puts the delivery to the very functions that the ingress puts it to, and stores nothing. */
export function explainDelivery(delivery: AuthenticDelivery, rules: Rules): Explanation {
  try {
    const read = interpret(delivery);
    if (read.kind === 'malformed') throw new Refused('malformed', read.detail);
    return explainRead(read, delivery, rules);
  } catch (error) {
    if (error instanceof Refused) return explainRefused(error, delivery);
    throw error;
  }
}

function interpret({ source, headers, body }: AuthenticDelivery): Interpretation {
  const { formats, maxBodyBytes } = providerOf(source.provider);
  const format = bodyFormat(headers, formats);
  if (body.length > maxBodyBytes) {
    throw new Refused('body-too-large', `The body is longer than ${String(maxBodyBytes)} bytes`);
  }
  return carryOut({ provider: source.provider, headers, body, format });
}

function explainRefused(refused: Refused, { source }: AuthenticDelivery): Explanation {
  return {
    source: source.name,
    provider: source.provider,
    event: null,
    action: null,
    deliveryId: null,
    status: problemAnswer(refused).status,
    outcome: refused.problem,
    reason: refused.detail,
    triggers: [],
    jobs: [],
    filters: [],
    workflows: [],
  };
}

function explainRead(
  read: ReadDelivery,
  { source }: AuthenticDelivery,
  { catalog, localClones }: Rules,
): Explanation {
  const { event, action, deliveryId } = read;
  const { triggers, jobs, outcome, reason } = planJobs(read, {
    source,
    deliveryId: deliveryId ?? 'none',
    plan: catalog.plan,
    localClones,
  });
  const started = new Set(jobs.map(({ planned }) => planned.workflow));
  return {
    source: source.name,
    provider: source.provider,
    event,
    action,
    deliveryId,
    status: outcome === 'accepted' ? 202 : 200,
    outcome,
    reason,
    triggers,
    jobs: jobs.map(({ trigger, planned: { workflow, priority, concurrency } }) => ({
      trigger: triggers.indexOf(trigger) + 1,
      workflow,
      priority,
      concurrency,
    })),
    filters: triggers.flatMap((trigger, index) =>
      filterSights(trigger, source).map((each) => ({ trigger: index + 1, sight: each })),
    ),
    workflows: [...catalog.workflows.values()].map(({ name, on }) => {
      const matchers = triggers.flatMap((trigger, index) =>
        on.map((matcher) => sight(matchFields(matcher, trigger), index + 1)),
      );
      const starts = started.has(name);
      const why = whyNot({ on, matchers, reason });
      return { workflow: name, starts, reason: starts ? null : why, matchers };
    }),
  };
}

const sight = (fields: readonly FieldMatch[], trigger: number): MatcherSight => ({
  trigger,
  passes: fields.every(({ passes }) => passes),
  fields,
});

function whyNot({
  on,
  matchers,
  reason,
}: Readonly<{
  on: readonly unknown[];
  matchers: readonly MatcherSight[];
  reason: string | null;
}>): string {
  if (on.length === 0) return 'It has no matchers: it is only started by hand';
  const wantsIt = matchers.length === 0 || matchers.some(({ passes }) => passes);
  return wantsIt && reason !== null ? reason : 'None of its matchers lets a trigger through';
}
