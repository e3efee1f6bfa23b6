import type { Trigger } from '../../events/trigger.ts';
import type { WebhookSource } from '../../platform/webhook-sources.ts';
import type { Payload } from './payload.ts';

/** A request's headers under lower-case names; one that came several times is joined by `, `. */
export type Headers = Readonly<Record<string, string>>;

/** `form` is `application/x-www-form-urlencoded` with the JSON in its field `payload`. */
export type BodyFormat = 'json' | 'form';

/** A request that nothing has vouched for yet, and what it may be signed with. */
export type UnverifiedDelivery = Readonly<{
  headers: Headers;
  format: BodyFormat;
  /** The exact bytes. */
  body: Buffer;
  /** The secrets that are active now; with none, nothing is authentic. */
  secrets: readonly string[];
  now: Date;
}>;

/** `unsigned-ping`: proves nothing and carries nothing, is answered kindly and not stored. */
export type Verdict = 'authentic' | 'not-authentic' | 'unsigned-ping';

/** What a delivery calls itself. */
export type Identity = Readonly<{
  event: string;
  /** null: the host gave none, and the same body is the same delivery. */
  deliveryId: string | null;
  /** Tells deliveries of one source apart where the id alone does not. */
  key?: string;
}>;

/** One normalised fact of a payload: a trigger before it is known through which delivery it came. */
export type Fact = Omit<Trigger, 'provider' | 'source' | 'deliveryId'>;

export type Reading = Readonly<{
  action: string | null;
  facts: readonly Fact[];
  /** Why the facts may start no job whatever the workflows want; null: the workflows decide. */
  withheld: string | null;
}>;

/**
 * All that is particular to one Git host. Pure: it reads headers and payload and knows nothing of
 * sockets, stores or clocks. The source that the URL names chooses it; headers never do.
 */
export type WebhookProvider = Readonly<{
  name: WebhookSource['provider'];
  maxBodyBytes: number;
  formats: readonly BodyFormat[];
  /** Whether the delivery id is outside the signature, so that a replay may come under a new one. */
  sameBodyIsDuplicate: boolean;
  /** `WWW-Authenticate` of a 401, where the host uses HTTP authentication. */
  challenge: string | null;
  /** What tells the host to slow down: Azure gives a hook up for a 429. */
  overRate: 'over-rate' | 'unavailable';
  /** Works on the raw bytes, before anything is parsed. */
  verify(delivery: UnverifiedDelivery): Verdict;
  /** Throws `Malformed` when the request does not say which event it is. */
  identify(headers: Headers, payload: Payload): Identity;
  /** Throws `Malformed` when the body has another shape than the event, `Unmappable` when a fact is unusable. */
  read(event: string, payload: Payload): Reading;
  /** The body without the hook's own secret, where the host puts it there; null: nothing to hide. */
  redact(delivery: Readonly<{ body: Buffer; format: BodyFormat; payload: Payload }>): Buffer | null;
}>;

/** The request contradicts itself or its format: the sender's fault, answered with 400 and not stored. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** An authentic payload with facts that cannot be used: logged, and answered with 200. */
export class Unmappable extends Error {
  override readonly name = 'Unmappable';
}

export const MEBIBYTE = 1_048_576;

/** What most hosts have in common. */
export const USUAL = {
  maxBodyBytes: 25 * MEBIBYTE,
  formats: ['json'],
  sameBodyIsDuplicate: true,
  challenge: null,
  overRate: 'over-rate',
  redact: () => null,
} as const satisfies Partial<WebhookProvider>;
