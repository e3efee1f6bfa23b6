import type { Trigger } from '../../events/trigger.ts';
import type { FactFilter, WebhookSource } from '../../platform/webhook-sources.ts';
import { touches, touchesOnly } from '../../sdk/trigger.ts';

/** What one rule of a source says of one trigger. */
export type FilterSight = Readonly<{
  /** As it is called in the file of the sources. */
  filter:
    'ownAccounts' | 'repositories' | `only.${keyof FactFilter}` | `except.${keyof FactFilter}`;
  wanted: readonly string[];
  /** What the trigger has there; null where it has nothing. */
  value: string | null;
  passes: boolean;
}>;

type Rules = Pick<WebhookSource, 'name' | 'repositories' | 'ownAccounts' | 'filters'>;

/** What each rule of the source says of the trigger; it may start jobs when it passes all of them. */
export function filterSights(trigger: Trigger, source: Rules): readonly FilterSight[] {
  const { only = {}, except = {} } = source.filters ?? {};
  return [
    ...ofOwnAccounts(trigger, source),
    ...ofRepositories(trigger, source),
    ...fieldsOf(only).map((field) => sight(trigger, only, ['only', field])),
    ...fieldsOf(except).map((field) => sight(trigger, except, ['except', field])),
  ];
}

/** Why the trigger may start no job, in a sentence; null when it may. */
export function leftOutBy(trigger: Trigger, source: Rules): string | null {
  if (!hasRules(source)) return null;
  const stopped = filterSights(trigger, source).find(({ passes }) => !passes);
  if (stopped === undefined) return null;
  const { filter, value } = stopped;
  if (filter === 'ownAccounts') {
    return `It is the doing of "${String(value)}", an account of ours: the source "${source.name}" starts nothing on those`;
  }
  if (filter === 'repositories') {
    return `The source "${source.name}" does not allow the repository ${value ?? 'none'}`;
  }
  const [, field = ''] = filter.split('.');
  return `The filters of the source "${source.name}" leave out the ${field} ${value ?? 'that it has not'}`;
}

/** Most have none, and each delivery asks. */
const hasRules = ({ repositories, ownAccounts, filters }: Rules): boolean =>
  repositories !== null || ownAccounts !== undefined || filters !== undefined;

/** No host has two accounts or repositories whose names differ in case only. */
const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const holdsName = (names: readonly string[], name: string | null): boolean =>
  name !== null && names.some((each) => isSame(each, name));

/** A comment or a commit of a workflow's own would else start it again, and so on for ever. */
function ofOwnAccounts({ sender }: Trigger, { ownAccounts: wanted = [] }: Rules): FilterSight[] {
  if (wanted.length === 0) return [];
  return [{ filter: 'ownAccounts', wanted, value: sender, passes: !holdsName(wanted, sender) }];
}

function ofRepositories({ repository }: Trigger, { repositories: wanted }: Rules): FilterSight[] {
  if (wanted === null) return [];
  const value = repository?.fullName ?? null;
  return [{ filter: 'repositories', wanted, value, passes: holdsName(wanted, value) }];
}

/** A ping starts nothing, and is there to see that the hook works. */
const isPing = ({ event }: Trigger): boolean => event === 'ping';

const VALUES: Readonly<Record<keyof FactFilter, (trigger: Trigger) => readonly string[]>> = {
  event: ({ event }) => [event],
  action: ({ action }) => [action],
  branch: ({ pullRequest, ref }) => one(pullRequest === null ? ref : pullRequest.baseBranch),
  author: ({ sender }) => one(sender),
  label: ({ pullRequest }) => pullRequest?.labels ?? [],
  draft: ({ pullRequest }) => (pullRequest === null ? [] : [String(pullRequest.draft ?? false)]),
  path: ({ paths }) => paths ?? [],
};

const one = (value: string | null): readonly string[] => (value === null ? [] : [value]);

const fieldsOf = (filter: FactFilter): readonly (keyof FactFilter)[] =>
  (Object.keys(VALUES) as readonly (keyof FactFilter)[]).filter(
    (field) => filter[field] !== undefined,
  );

const wantedOf = (filter: FactFilter, field: keyof FactFilter): readonly string[] => {
  const wanted = filter[field];
  return typeof wanted === 'object' ? wanted : [String(wanted)];
};

function sight(
  trigger: Trigger,
  filter: FactFilter,
  [kind, field]: readonly ['only' | 'except', keyof FactFilter],
): FilterSight {
  const values = VALUES[field](trigger);
  const passes =
    kind === 'only' ? isIn(trigger, field, filter) : !isWhollyIn(trigger, field, filter);
  return {
    filter: `${kind}.${field}`,
    wanted: wantedOf(filter, field),
    value: values.length === 0 ? null : shortList(values),
    passes: isPing(trigger) || passes,
  };
}

const SHOWN = 5;

const shortList = (values: readonly string[]): string =>
  [...values.slice(0, SHOWN), ...(values.length > SHOWN ? ['…'] : [])].join(', ');

function isIn(trigger: Trigger, field: keyof FactFilter, filter: FactFilter): boolean {
  const wanted = wantedOf(filter, field);
  if (field === 'path') return touches(wanted, trigger);
  const values = VALUES[field](trigger);
  return values.some((value) =>
    field === 'author' ? holdsName(wanted, value) : wanted.includes(value),
  );
}

/** A push is left out for its paths only when it changed nothing else. */
const isWhollyIn = (trigger: Trigger, field: keyof FactFilter, filter: FactFilter): boolean =>
  field === 'path' ? touchesOnly(wantedOf(filter, field), trigger) : isIn(trigger, field, filter);
