import type { Event, Recorded } from '../events/event.ts';
import { type EncodedAppend, encodeAppend, hasRepeatedId } from './append-command.ts';
import {
  type Append,
  type AppendResult,
  EventStore,
  type ExpectedVersion,
  type LogRange,
  type StreamRange,
} from './event-store.ts';
import type { LogHints } from './log-hints.ts';
import { type StoredRow, recorded } from './read-sql.ts';
import { Upcasters } from './upcast.ts';

/** The log in memory, for tests: the same answers as Postgres's, by the same contract suite. */
export class InMemoryEventStore extends EventStore {
  private readonly log: StoredRow[] = [];
  private readonly streams = new Map<string, StoredRow[]>();
  private readonly byId = new Map<string, StoredRow>();
  private readonly upcasters: Upcasters;

  constructor(
    private readonly parts: Readonly<{
      hints?: Pick<LogHints, 'announce'>;
      upcasters?: Upcasters;
    }> = {},
  ) {
    super();
    this.upcasters = parts.upcasters ?? new Upcasters();
  }

  // Async like the others, so that a refusal is a rejection and no caller can count on an answer in the same tick.
  async append(command: Append): Promise<AppendResult> {
    const encoded = encodeAppend(command, this.upcasters);
    const result = this.answer(encoded);
    if (result.status === 'appended') this.parts.hints?.announce();
    return Promise.resolve(result);
  }

  readStream<E extends Event = Event>(
    streamId: string,
    { from = 1, to = Infinity, limit = Infinity, backwards = false }: StreamRange = {},
  ): Promise<readonly Recorded<E>[]> {
    const rows = (this.streams.get(streamId) ?? []).filter(
      ({ version }) => version >= from && version <= to,
    );
    if (backwards) rows.reverse();
    return Promise.resolve(this.read<E>(rows.slice(0, limit)));
  }

  readAll<E extends Event = Event>({
    after,
    upTo = BigInt(this.log.length),
    limit,
    types,
  }: LogRange): Promise<readonly Recorded<E>[]> {
    const rows = this.log
      .slice(Number(after), Number(upTo))
      .filter(({ type }) => types?.includes(type) ?? true);
    return Promise.resolve(this.read<E>(rows.slice(0, limit)));
  }

  head(): Promise<bigint> {
    return Promise.resolve(BigInt(this.log.length));
  }

  private answer(command: EncodedAppend): AppendResult {
    const stream = this.streams.get(command.streamId) ?? [];
    const version = stream.length;
    if (command.events.length === 0)
      return run('duplicate', Number(stream.at(-1)?.position ?? 0) + 1, 0, version);
    const known = command.events.filter(({ id }) => this.byId.has(id));
    if (hasRepeatedId(command)) return { status: 'id_conflict', version };
    if (known.length > 0) return this.repeated(command, version);
    if (!isExpected(command.expected, version)) return { status: 'conflict', version };
    return this.store(command, stream);
  }

  /** The same run of events of the same stream, or some that are taken. */
  private repeated({ streamId, events }: EncodedAppend, version: number): AppendResult {
    const rows = events.map(({ id }) => this.byId.get(id));
    const [first] = rows;
    const same = rows.every(
      (row, index) =>
        row?.stream_id === streamId && Number(row.position) === Number(first?.position) + index,
    );
    if (!first || !same) return { status: 'id_conflict', version };
    return run('duplicate', Number(first.position), rows.length, first.version + rows.length - 1);
  }

  private store({ streamId, events }: EncodedAppend, stream: StoredRow[]): AppendResult {
    const before = this.log.length;
    this.streams.set(streamId, stream);
    for (const event of events) {
      const row: StoredRow = {
        position: String(this.log.length + 1),
        stream_id: streamId,
        version: stream.length + 1,
        event_id: event.id,
        type: event.type,
        schema_version: event.schemaVersion,
        occurred_at: event.at,
        recorded_at: new Date(),
        data: event.data,
        metadata: JSON.parse(event.metadata) as StoredRow['metadata'],
      };
      this.log.push(row);
      stream.push(row);
      this.byId.set(event.id, row);
    }
    return run('appended', before + 1, events.length, stream.length);
  }

  /** Parsed for each reader: what one does to its copy, no other sees. */
  private read<E extends Event>(rows: readonly StoredRow[]): readonly Recorded<E>[] {
    return rows.map((row) =>
      recorded<E>({ ...row, data: JSON.parse(row.data as string) }, this.upcasters),
    );
  }
}

function isExpected(expected: ExpectedVersion, version: number): boolean {
  if (expected === 'any') return true;
  return expected === 'exists' ? version > 0 : expected === version;
}

function run(
  status: 'appended' | 'duplicate',
  firstPosition: number,
  events: number,
  version: number,
): AppendResult {
  return {
    status,
    firstPosition: BigInt(firstPosition),
    lastPosition: BigInt(firstPosition + events - 1),
    version,
  };
}
