/** Anything that `JSON.stringify` keeps whole. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/** What a webhook said, the same for every host. */
export type Trigger = Readonly<{
  provider: string;
  source: string;
  deliveryId: string;
  event: string;
  action: string;
  repository: Readonly<{ fullName: string; url: string | null; cloneUrl: string | null }> | null;
  pullRequest: Readonly<{
    number: number;
    title: string | null;
    url: string | null;
    headRepository: string | null;
    baseBranch: string | null;
    baseSha: string | null;
  }> | null;
  ref: string | null;
  headSha: string | null;
  baseSha: string | null;
  sender: string | null;
}>;

type OneOrMore = string | readonly string[];

/** A trigger matches when every field that is given equals the trigger's, or is a list that holds it. */
export type TriggerMatcher = Readonly<{
  provider?: OneOrMore;
  source?: OneOrMore;
  event?: OneOrMore;
  action?: OneOrMore;
  /** The full name, as `Trigger.repository.fullName`. */
  repository?: OneOrMore;
  /** The head branch or tag, short. */
  ref?: OneOrMore;
  /** The branch that a pull request goes into. */
  baseBranch?: OneOrMore;
  sender?: OneOrMore;
}>;

/** Whether any of the matchers lets the trigger through. */
export function matches(matchers: readonly TriggerMatcher[], trigger: Trigger): boolean {
  return matchers.some((matcher) => matchesOne(matcher, trigger));
}

const matchesOne = (matcher: TriggerMatcher, trigger: Trigger): boolean =>
  matchFields(matcher, trigger).every(({ passes }) => passes);

/** What a matcher wants of one field, and what the trigger has there. */
export type FieldMatch = Readonly<{
  field: keyof TriggerMatcher;
  wanted: readonly string[];
  value: string | null;
  passes: boolean;
}>;

/** Each field that the matcher gives; it lets the trigger through when all of them pass. */
export function matchFields(matcher: TriggerMatcher, trigger: Trigger): readonly FieldMatch[] {
  return Object.entries(matcher).map(([name, given]) => {
    // `mistakeOfMatchers` lets no other field into a workflow.
    const field = name as keyof TriggerMatcher;
    const wanted = typeof given === 'string' ? [given] : given;
    const value = FIELDS[field](trigger);
    return { field, wanted, value, passes: value !== null && wanted.includes(value) };
  });
}

const FIELDS: Readonly<Record<keyof TriggerMatcher, (trigger: Trigger) => string | null>> = {
  provider: ({ provider }) => provider,
  source: ({ source }) => source,
  event: ({ event }) => event,
  action: ({ action }) => action,
  repository: ({ repository }) => repository?.fullName ?? null,
  ref: ({ ref }) => ref,
  baseBranch: ({ pullRequest }) => pullRequest?.baseBranch ?? null,
  sender: ({ sender }) => sender,
};

/** What is wrong with the matchers of a workflow that no type has checked, or null. */
export function mistakeOfMatchers(matchers: unknown): string | null {
  if (!Array.isArray(matchers)) return 'on is a list of matchers';
  for (const matcher of matchers as readonly unknown[]) {
    if (typeof matcher !== 'object' || matcher === null) return 'on is a list of objects';
    for (const [field, wanted] of Object.entries(matcher)) {
      if (!Object.hasOwn(FIELDS, field)) {
        return `on has no field "${field}": it has ${Object.keys(FIELDS).join(', ')}`;
      }
      if (!isOneOrMore(wanted)) return `on.${field} is a text or a list of texts`;
    }
  }
  return null;
}

const isOneOrMore = (wanted: unknown): wanted is OneOrMore =>
  typeof wanted === 'string' ||
  (Array.isArray(wanted) && wanted.every((one) => typeof one === 'string'));
