import { fitsGlob } from './glob.ts';

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
    /** Left out where the host does not say. */
    labels?: readonly string[];
    /** Left out where the host does not say. */
    draft?: boolean;
  }> | null;
  ref: string | null;
  headSha: string | null;
  baseSha: string | null;
  sender: string | null;
  /** The files that a push changed; left out where the host does not say. */
  paths?: readonly string[];
  /** Whether the push changed more files than `paths` has. */
  morePaths?: boolean;
  /** Left out where the event is no comment, or the host does not give its text. */
  comment?: Readonly<{
    /** Its beginning. */
    text: string;
    author: string | null;
    isMember?: boolean;
    /** As `review` of `/review`; left out where there is none, and where the author may give no commands. */
    command?: string;
  }>;
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
  /** One that the pull request has. */
  label?: OneOrMore;
  /** Whether the pull request is a draft; where the host does not say, it is none. */
  draft?: boolean;
  /**
   * A pattern of a file that the push changed: `*` and `?` stop at a slash, `**` does not. Where the host does not name
   * the files, or not all of them, this lets the trigger through.
   */
  path?: OneOrMore;
  /** The command that a comment gives, as `review` for `/review`, by somebody who may. */
  command?: OneOrMore;
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
    const wanted = Array.isArray(given) ? (given as readonly string[]) : [String(given)];
    const values = FIELDS[field](trigger);
    const passes = field === 'path' ? touches(wanted, trigger) : values.some(isOneOf(wanted));
    return { field, wanted, value: values.length === 0 ? null : values.join(', '), passes };
  });
}

const isOneOf =
  (wanted: readonly string[]) =>
  (value: string): boolean =>
    wanted.includes(value);

/** Whether it may have changed a file that one of the patterns fits. */
export function touches(patterns: readonly string[], { paths, morePaths }: Trigger): boolean {
  if (paths === undefined || morePaths === true) return true;
  return paths.some((path) => patterns.some((pattern) => fitsGlob(pattern, path)));
}

/** Whether the patterns fit all the files that it changed, which it must name. */
export function touchesOnly(patterns: readonly string[], { paths, morePaths }: Trigger): boolean {
  if (paths === undefined || paths.length === 0 || morePaths === true) return false;
  return paths.every((path) => patterns.some((pattern) => fitsGlob(pattern, path)));
}

const ifAny = (value: string | null | undefined): readonly string[] =>
  value === null || value === undefined ? [] : [value];

const FIELDS: Readonly<Record<keyof TriggerMatcher, (trigger: Trigger) => readonly string[]>> = {
  provider: ({ provider }) => [provider],
  source: ({ source }) => [source],
  event: ({ event }) => [event],
  action: ({ action }) => [action],
  repository: ({ repository }) => ifAny(repository?.fullName),
  ref: ({ ref }) => ifAny(ref),
  baseBranch: ({ pullRequest }) => ifAny(pullRequest?.baseBranch),
  sender: ({ sender }) => ifAny(sender),
  label: ({ pullRequest }) => pullRequest?.labels ?? [],
  draft: ({ pullRequest }) => (pullRequest === null ? [] : [String(pullRequest.draft ?? false)]),
  path: ({ paths }) => paths ?? [],
  command: ({ comment }) => ifAny(comment?.command),
};

/** What is wrong with the matchers of a workflow that no type has checked, or null. */
export function mistakeOfMatchers(matchers: unknown): string | null {
  if (!Array.isArray(matchers)) return 'on is a list of matchers';
  for (const matcher of matchers as readonly unknown[]) {
    if (typeof matcher !== 'object' || matcher === null) return 'on is a list of objects';
    for (const [field, wanted] of Object.entries(matcher)) {
      const mistake = mistakeOfField(field, wanted);
      if (mistake !== null) return mistake;
    }
  }
  return null;
}

function mistakeOfField(field: string, wanted: unknown): string | null {
  if (!Object.hasOwn(FIELDS, field)) {
    return `on has no field "${field}": it has ${Object.keys(FIELDS).join(', ')}`;
  }
  if (field === 'draft') return typeof wanted === 'boolean' ? null : 'on.draft is true or false';
  return isOneOrMore(wanted) ? null : `on.${field} is a text or a list of texts`;
}

const isOneOrMore = (wanted: unknown): wanted is OneOrMore =>
  typeof wanted === 'string' ||
  (Array.isArray(wanted) && wanted.every((one) => typeof one === 'string'));
