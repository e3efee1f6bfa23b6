import type { Recorded } from '../events/event.ts';
import type { Reader } from './reader.ts';

/** A page that a projection cannot take: its own code threw, or Postgres refuses its statements. */
export class ProjectionFault extends Error {
  override readonly name = 'ProjectionFault';

  constructor(
    readonly reader: Reader,
    readonly page: readonly Recorded[],
    override readonly cause: unknown,
  ) {
    super(describe(reader, page, cause));
  }
}

function describe({ projection }: Reader, page: readonly Recorded[], cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const [first] = page;
  const last = page.at(-1);
  if (!first || !last) return `${projection.name}: ${reason}`;
  const place =
    page.length === 1
      ? `event ${String(first.position)} (${first.type} of ${first.streamId})`
      : `events ${String(first.position)} to ${String(last.position)}`;
  return `${projection.name} cannot take ${place}: ${reason}`;
}
