import type { Trigger } from '../../events/trigger.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import type { RereadDelivery, StoredDelivery } from '../../write/door.ts';
import { Rejected } from '../../write/rejected.ts';
import { bodyFormat } from '../webhooks/content-type.ts';
import { leftOutBy } from '../webhooks/filters.ts';
import type { Interpretation } from '../webhooks/interpret.ts';
import type { InterpretOrder } from '../webhooks/interpreter.ts';
import { type Plan, planJobs } from '../webhooks/plan-jobs.ts';
import { Refused } from '../webhooks/problem.ts';
import { providerOf } from '../webhooks/providers.ts';

export type ReadingRules = Readonly<{
  /** As they are configured now. */
  sources: readonly WebhookSource[];
  plan: Plan;
  localClones: readonly string[];
  interpret: (order: InterpretOrder) => Promise<Interpretation>;
  /**
   * Whether a delivery of a source that is not configured here is taken as if the source had no rules. For one that
   * somebody named: many at once are not to start what nobody meant.
   */
  withoutSource: boolean;
}>;

/** Headers that are stored without their values have no part in what a delivery means. */
const REDACTED = '[redacted]';

/**
 * What a stored delivery asks for now: its body is read again, as if it came through its source just now. Throws
 * `Rejected<'source-not-configured'>`: without the source's rules nobody can say what may start.
 */
export async function readAgain(
  stored: StoredDelivery,
  rules: ReadingRules,
): Promise<RereadDelivery> {
  const { provider } = stored;
  const known = rules.sources.find((each) => each.name === stored.source);
  const isSame = known?.provider === provider;
  if (provider === 'manual' || !(isSame || (known === undefined && rules.withoutSource))) {
    throw new Rejected('source-not-configured', explain(stored));
  }
  const source = known ?? openSource(stored.source, provider);
  return stored.body === null
    ? withoutBody(stored, source, rules.plan)
    : fromBody(stored, source, { ...rules, body: stored.body });
}

const openSource = (name: string, provider: WebhookSource['provider']): WebhookSource => ({
  name,
  provider,
  secrets: [],
  repositories: null,
  maxPerMinute: null,
  allowedIps: null,
});

const explain = ({ source, provider }: StoredDelivery): string =>
  `No source "${source}" of ${provider} is configured here: its filters are needed to say what may start`;

async function fromBody(
  { headers: kept, deliveryId }: StoredDelivery,
  source: WebhookSource,
  { body, plan, localClones, interpret }: ReadingRules & Readonly<{ body: Buffer }>,
): Promise<RereadDelivery> {
  const headers = Object.fromEntries(
    Object.entries(kept).filter(([, value]) => value !== REDACTED),
  );
  try {
    const format = bodyFormat(headers, providerOf(source.provider).formats);
    const read = await interpret({ provider: source.provider, headers, body, format });
    if (read.kind === 'malformed') return nothing(read.detail);
    return planJobs(read, { source, deliveryId, plan, localClones });
  } catch (error) {
    if (error instanceof Refused) return nothing(error.detail);
    throw error;
  }
}

const nothing = (reason: string): RereadDelivery => ({ triggers: [], jobs: [], reason });

/** What it was taken to mean when it came is all that is left of it. */
function withoutBody(
  { triggers, outcome }: StoredDelivery,
  source: WebhookSource,
  plan: Plan,
): RereadDelivery {
  if (outcome !== 'accepted') {
    return nothing(`It was ${outcome}, and its body was removed since: it cannot be read again`);
  }
  const allowed = triggers.filter((trigger) => leftOutBy(trigger, source) === null);
  const jobs = allowed.flatMap((trigger) => plan(trigger).map((planned) => ({ trigger, planned })));
  return { triggers, jobs, reason: jobs.length > 0 ? null : unwanted(triggers, source) };
}

const unwanted = ([first]: readonly Trigger[], source: WebhookSource): string =>
  (first === undefined ? null : leftOutBy(first, source)) ?? 'No workflow starts on it today';
