import { HINTS } from '../ingress/webhooks/diagnose.ts';
import type { Counted } from './ingress-counters.ts';

/** What came and is not in the delivery log. */
export type Unstored = Readonly<{
  source: string;
  outcome: string;
  /** Whether the webhook is set up as it should be. */
  right: boolean;
  hint: string | null;
  explanation: string;
}>;

/** Of what is stored the delivery log says more. The reason of what is not authentic is counted apart. */
const SEEN_ELSEWHERE: ReadonlySet<string> = new Set(['accepted', 'ignored', 'unmappable']);

const RIGHT: Readonly<Record<string, string>> = {
  duplicate: 'It came before: the answer has the jobs of the first time. The signature is right',
  spooled: 'It is kept in the spool, as Postgres is away. The signature is right',
  'unsigned-ping':
    'A ping without a signature: the host reaches the ingress. Whether the secrets are the same, the first push will show',
};

const WRONG: Readonly<Record<string, string>> = {
  malformed: 'The signature is right, but the body or a header is not what the host would send',
  'address-not-allowed':
    'The address of the sender is not in "allowedIps" of the source; behind a proxy, is that in "TRUSTED_PROXIES"?',
  'too-slow': 'The request did not arrive in time: is a proxy slow, or the line?',
  'delivery-id-reused': 'The delivery id was used before, with another body',
  'body-too-large': 'The body is larger than the host sends it',
  'unsupported-content':
    'The content type is not taken: choose application/json at the host; nothing on the way may compress',
  'too-many-failures':
    'The address sent much that was not authentic and nothing that was ("MAX_FAILURES_PER_MINUTE"): wait a minute',
  'over-rate': 'The source sends more than its "maxPerMinute"',
  unavailable: 'It could not be stored, or was over the rate: see the log of the ingress',
  'unknown-path': 'There is no source of the name in the address: see "webhooks setup"',
  'sender-gone': 'The host hung up before the answer',
};

const hintText: Readonly<Record<string, string>> = HINTS;

/** What to say of a count; null where the delivery log says it, or another count. */
export function unstored({ source, outcome, hint }: Counted): Unstored | null {
  if (hint !== null) {
    const explanation = hintText[hint] ?? 'It is not authentic';
    return { source, outcome, right: false, hint, explanation };
  }
  if (SEEN_ELSEWHERE.has(outcome) || outcome === 'not-authentic') return null;
  const good = RIGHT[outcome];
  const explanation = good ?? WRONG[outcome] ?? 'It was refused: see the log of the ingress';
  return { source, outcome, right: good !== undefined, hint: null, explanation };
}
