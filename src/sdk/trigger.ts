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

function matchesOne(matcher: TriggerMatcher, trigger: Trigger): boolean {
  const values: Record<keyof TriggerMatcher, string | null> = {
    provider: trigger.provider,
    source: trigger.source,
    event: trigger.event,
    action: trigger.action,
    repository: trigger.repository?.fullName ?? null,
    ref: trigger.ref,
    baseBranch: trigger.pullRequest?.baseBranch ?? null,
    sender: trigger.sender,
  };
  return Object.entries(matcher).every(([field, wanted]) => {
    const value = values[field as keyof TriggerMatcher];
    return (
      value !== null && (typeof wanted === 'string' ? wanted === value : wanted.includes(value))
    );
  });
}
