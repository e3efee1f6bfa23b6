import { type Payload, has } from './payload.ts';
import { type Fact, type Headers, type Identity, Malformed, type Reading } from './provider.ts';

/** What a host calls an event, the fields that tell it from others, and how it is read. */
export type EventKind = Readonly<{
  /** Fields that every body of this event has, if only as null. */
  has: readonly string[];
  /** Fields that have a value only in bodies of other events. */
  hasNot: readonly string[];
  read: (payload: Payload) => Reading;
}>;

/**
 * Reads the payload as the event that the header names. An event that is not in the table is ignored.
 * Where the event is not signed a captured body could come back under another, so the shape must fit.
 */
export function readAs(
  kinds: Readonly<Record<string, EventKind>>,
  event: string,
  payload: Payload,
): Reading {
  const kind = Object.hasOwn(kinds, event) ? kinds[event] : undefined;
  if (kind === undefined) return ignored(`The event "${event}" is not one that jobs start on`);
  const missing = kind.has.find((key) => !Object.hasOwn(payload, key));
  const foreign = kind.hasNot.find((key) => has(payload, key));
  if (missing !== undefined || foreign !== undefined) {
    const why = missing === undefined ? `has "${String(foreign)}"` : `lacks "${missing}"`;
    throw new Malformed(`The header names the event "${event}" but the body ${why}`);
  }
  return kind.read(payload);
}

/** The event and the delivery id as headers of these names say them. */
export function identifyBy(eventHeader: string, idHeader: string): (headers: Headers) => Identity {
  return (headers) => {
    const event = headers[eventHeader] ?? '';
    if (!/^[a-z][\w:.-]{0,63}$/i.test(event)) {
      throw new Malformed(`The header ${eventHeader} must name one event`);
    }
    return { event, deliveryId: headers[idHeader] ?? null };
  };
}

/** An authentic delivery that says nothing that a job could be for. */
export const ignored = (reason: string): Reading => ({ action: null, facts: [], withheld: reason });

/** One fact, and the workflows decide. */
export const oneFact = (one: Fact): Reading => ({
  action: one.action,
  facts: [one],
  withheld: null,
});

/** A fact with nothing in it but what is given. */
export function fact(given: Pick<Fact, 'event' | 'action' | 'repository'> & Partial<Fact>): Fact {
  return { pullRequest: null, ref: null, headSha: null, baseSha: null, sender: null, ...given };
}

/** What a push did to a ref whose tip was `before` and is `after`. */
export function movement(
  before: string | null,
  after: string | null,
): 'created' | 'updated' | 'deleted' {
  if (after === null) return 'deleted';
  return before === null ? 'created' : 'updated';
}
