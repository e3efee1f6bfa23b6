import { formPayload } from './form.ts';
import { parseObject } from './json.ts';
import { type Payload, at } from './payload.ts';
import {
  type BodyFormat,
  type Fact,
  type Headers,
  Malformed,
  Unmappable,
  type WebhookProvider,
} from './provider.ts';
import { actionName } from './sanitise.ts';

const MAX_FACTS = 100;

/** What an authentic delivery says. Plain data, so that a worker thread can send it. */
export type Interpretation = Readonly<{ kind: 'malformed'; detail: string }> | ReadDelivery;

export type ReadDelivery = Readonly<{
  kind: 'read';
  event: string;
  action: string | null;
  deliveryId: string | null;
  key: string | null;
  /** At most `MAX_FACTS`. */
  facts: readonly Fact[];
  /** How many facts there were over that. */
  dropped: number;
  /** Why no job may start; null: the workflows decide. */
  withheld: string | null;
  /** The facts are unusable; `withheld` says why. */
  unmappable: boolean;
  /** The body to store in place of the exact one. */
  redactedBody: Uint8Array | null;
  /** A fault of ours that was met on the way, for the log. */
  fault: string | null;
}>;

/**
 * Reads an authentic delivery: parses it, names it, normalises it. Pure, and never throws: what the
 * sender did wrong is `malformed`, and everything else, even a bug of ours, is a delivery to log, as a
 * refusal would make hosts give the hook up.
 */
export function interpret(
  provider: WebhookProvider,
  delivery: Readonly<{ headers: Headers; body: Buffer; format: BodyFormat }>,
): Interpretation {
  try {
    const { headers, body, format } = delivery;
    const payload = parseObject(format === 'form' ? formPayload(body) : body);
    const { event, deliveryId, key = deliveryId } = provider.identify(headers, payload);
    assertDeliveryId(deliveryId);
    const redactedBody = provider.redact({ body, format, payload });
    return { ...normalise(provider, event, payload), event, deliveryId, key, redactedBody };
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'malformed', detail: error.message };
    return uninterpreted(error);
  }
}

/** Stands in for the interpretation of a body that we could not read through a fault of ours. */
export function uninterpreted(error: unknown): ReadDelivery {
  return {
    ...unmappable(OUR_FAULT, error),
    event: 'unknown',
    deliveryId: null,
    key: null,
    redactedBody: null,
  };
}

const OUR_FAULT = 'The payload could not be read, through a fault of Jobledger; its log has more';

// Mostly UUIDs, which Bitbucket puts in braces.
const DELIVERY_ID = /^(?:[A-Za-z0-9][\w.:-]{0,199}|\{[\w-]{1,100}\})$/;

function assertDeliveryId(deliveryId: string | null): void {
  if (deliveryId === null || DELIVERY_ID.test(deliveryId)) return;
  throw new Malformed('The delivery id must be up to 200 letters, digits and . _ : -');
}

type Normalised = Omit<ReadDelivery, 'event' | 'deliveryId' | 'key' | 'redactedBody'>;

function normalise(provider: WebhookProvider, event: string, payload: Payload): Normalised {
  try {
    const { action, facts, withheld } = provider.read(event, payload);
    return {
      kind: 'read',
      action: action ?? plainAction(payload),
      facts: facts.slice(0, MAX_FACTS),
      dropped: Math.max(0, facts.length - MAX_FACTS),
      withheld,
      unmappable: false,
      fault: null,
    };
  } catch (error) {
    if (error instanceof Malformed) throw error;
    if (error instanceof Unmappable) return unmappable(error.message, null);
    return unmappable(OUR_FAULT, error);
  }
}

function unmappable(reason: string, fault: unknown): Normalised {
  return {
    kind: 'read',
    action: null,
    facts: [],
    dropped: 0,
    withheld: reason,
    unmappable: true,
    fault: fault instanceof Error ? (fault.stack ?? fault.message) : null,
  };
}

/** The action of an ignored event, for the delivery log. */
function plainAction(payload: Payload): string | null {
  try {
    return actionName(at(payload, 'action'));
  } catch {
    return null;
  }
}
