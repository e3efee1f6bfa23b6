import type { Trigger } from '../../events/trigger.ts';
import type { FactFilter, WebhookSource } from '../../platform/webhook-sources.ts';

/** Why the filters of the source leave the trigger out; null when they let it pass. */
export function filteredBy(
  trigger: Trigger,
  { name, filters: { only = {}, except = {} } = {} }: Pick<WebhookSource, 'name' | 'filters'>,
): string | null {
  // A ping starts nothing, and is there to see that the hook works.
  if (trigger.event === 'ping') return null;
  const missed = FIELDS.find((field) => only[field] && !holds(only[field], field, trigger));
  const met = FIELDS.find((field) => except[field] && holds(except[field], field, trigger));
  const field = missed ?? met;
  if (field === undefined) return null;
  return `The filters of the source "${name}" leave out the ${field} ${VALUES[field](trigger) ?? 'that it has not'}`;
}

const VALUES: Readonly<Record<keyof FactFilter, (trigger: Trigger) => string | null>> = {
  event: ({ event }) => event,
  action: ({ action }) => action,
  branch: ({ pullRequest, ref }) => (pullRequest === null ? ref : pullRequest.baseBranch),
  author: ({ sender }) => sender,
};

const FIELDS = Object.keys(VALUES) as readonly (keyof FactFilter)[];

function holds(values: readonly string[], field: keyof FactFilter, trigger: Trigger): boolean {
  const value = VALUES[field](trigger);
  if (value === null) return false;
  if (field !== 'author') return values.includes(value);
  // No host has two accounts whose names differ in case only.
  return values.some((each) => each.toLowerCase() === value.toLowerCase());
}
