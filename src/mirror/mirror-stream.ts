import type { EventStore } from '../event-store/event-store.ts';
import type { Recorded } from '../events/event.ts';
import type { MirrorTarget, MirroredEvent } from './mirror-target.ts';

/** A stream of the mirror holds events that are not the log's: somebody else writes it. */
class MirrorConflict extends Error {
  override readonly name = 'MirrorConflict';
}

const MAX_TRIES = 5;

/** The servers' own limit of one append is 1 MiB, with what they add to an event. */
const MAX_BYTES = 800_000;

/**
 * Brings a stream of the mirror up to the last of the given events, which follow each other in their stream: whatever
 * of them, or of what stands before them, is there already stays, and the rest is appended. Throws `MirrorConflict`.
 */
export async function mirrorStream(
  { target, store }: Readonly<{ target: MirrorTarget; store: EventStore }>,
  events: readonly Recorded[],
): Promise<void> {
  const [first] = events;
  const last = events.at(-1);
  if (!first || !last) return;
  const name = streamName(first);
  let missing = events;
  for (let tries = 1; missing.length > 0; tries++) {
    if (tries > MAX_TRIES) throw new MirrorConflict(`Somebody else appends to ${name}`);
    if ((await appendAll(target, name, missing)) === 'appended') return;
    const length = await target.length(name);
    if (length < first.version - 1) {
      // The mirror has less than it once confirmed, for it was restored or is another one: the log has it all.
      missing = await store.readStream(first.streamId, { from: length + 1, to: last.version });
    } else {
      const known = events.filter(({ version }) => version <= length);
      await compare(target, name, known);
      missing = events.slice(known.length);
    }
  }
}

async function appendAll(
  target: MirrorTarget,
  name: string,
  events: readonly Recorded[],
): Promise<'appended' | 'conflict'> {
  for (const part of bySize(events)) {
    const expected = (part[0]?.version ?? 1) - 1;
    const result = await target.append(name, expected, part.map(mirrored));
    if (result === 'conflict') return result;
  }
  return 'appended';
}

async function compare(
  target: MirrorTarget,
  name: string,
  events: readonly Recorded[],
): Promise<void> {
  const skip = (events[0]?.version ?? 1) - 1;
  const ids = await target.ids(name, skip, events.length);
  const other = events.find(({ id }, index) => ids[index] !== id);
  if (!other) return;
  throw new MirrorConflict(
    `Event ${String(other.version)} of ${name} is not the log's event ${other.id}: another writer, or another log, uses this stream`,
  );
}

/** `job-<id>`: what stands before the first dash is the stream's category there. */
export const streamName = ({ streamId, type }: Pick<Recorded, 'streamId' | 'type'>): string =>
  `${type.startsWith('Job') ? 'job' : 'jobledger'}-${streamId}`;

const mirrored = (event: Recorded): MirroredEvent => ({
  id: event.id,
  type: event.type,
  data: event.data,
  metadata: {
    // These two names mean something to the server's own projections.
    ...given('$causationId', event.metadata.causationId),
    ...given('$correlationId', event.metadata.correlationId),
    ...given('actor', event.metadata.actor),
    position: String(event.position),
    version: String(event.version),
    occurredAt: event.at.toISOString(),
    recordedAt: event.recordedAt.toISOString(),
  },
});

const given = (name: string, value: string | undefined): Readonly<Record<string, string>> =>
  value === undefined ? {} : { [name]: value };

function bySize(events: readonly Recorded[]): readonly (readonly Recorded[])[] {
  const parts: Recorded[][] = [];
  let bytes = Infinity;
  for (const event of events) {
    const size = Buffer.byteLength(JSON.stringify(event.data)) + 500;
    if (bytes + size > MAX_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(event);
    bytes += size;
  }
  return parts;
}
