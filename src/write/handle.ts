import type { EventStore, NewEvent } from '../event-store/event-store.ts';
import type { Event, Metadata } from '../events/event.ts';
import { derivedId } from '../platform/ids.ts';
import type { Decider } from './decider.ts';
import { Rejected } from './rejected.ts';

const MAX_TRIES = 10;

/** A stream, folded: where it stands and what that means. */
export type History<State> = Readonly<{ state: State; version: number; position: bigint }>;

export type Decision<E, State> = Readonly<{ history: History<State>; events: readonly E[] }>;

export type HandleOptions<State> = Readonly<{
  /** The events' ids follow from it, so a command that comes again has its effect once. */
  commandId: string;
  expectedVersion?: number;
  /** Spares the first read; a stale one costs another try. */
  known?: History<State>;
  /** Of the events, from the state that they were decided on. */
  metadata?: (state: State) => Metadata;
}>;

/**
 * Load, fold, decide, append; on a version conflict, decide again from the newer history. Throws `Rejected` when
 * the rules refuse, or when the stream is not at `expectedVersion`.
 */
export async function handle<Command, E extends Event, State>(
  store: EventStore,
  rules: Decider<Command, E, State>,
  { streamId, command }: Readonly<{ streamId: string; command: Command }>,
  options: HandleOptions<State>,
): Promise<Decision<E, State>> {
  let known = options.known;
  for (let tries = 1; ; tries++) {
    const history = known ?? (await readHistory(store, rules, streamId));
    known = undefined;
    assertExpected(history, options.expectedVersion);
    const events = rules.decide(history.state, command);
    if (events.length === 0) return { history, events };

    const { commandId } = options;
    const metadata = options.metadata?.(history.state);
    const result = await store.append({
      streamId,
      expected: history.version,
      events: events.map((event, index) =>
        toNewEvent(event, { id: derivedId(commandId, String(index)), metadata }),
      ),
    });
    if (result.status === 'appended') {
      const state = events.reduce(rules.evolve, history.state);
      return {
        history: { state, version: result.version, position: result.lastPosition },
        events,
      };
    }
    if (result.status === 'duplicate') {
      return { history: await readHistory(store, rules, streamId), events: [] };
    }
    if (tries === MAX_TRIES) {
      throw new Error(
        `Stream ${streamId}: ${String(tries)} tries to append ended in ${result.status}; send the command again`,
      );
    }
  }
}

async function readHistory<Command, E extends Event, State>(
  store: EventStore,
  { initialState, evolve }: Decider<Command, E, State>,
  streamId: string,
): Promise<History<State>> {
  const events = await store.readStream<E>(streamId);
  const last = events.at(-1);
  return {
    state: events.reduce<State>(evolve, initialState),
    version: last?.version ?? 0,
    position: last?.position ?? 0n,
  };
}

function assertExpected({ version }: History<unknown>, expectedVersion: number | undefined): void {
  if (expectedVersion === undefined || expectedVersion === version) return;
  throw new Rejected(
    'version-conflict',
    `It is at version ${String(version)}, not ${String(expectedVersion)}: look at it again and decide anew`,
  );
}

const toNewEvent = <E extends Event>(
  event: E,
  { id, metadata }: Readonly<{ id: string; metadata: Metadata | undefined }>,
): NewEvent<E> => ({ ...event, id, ...(metadata === undefined ? {} : { metadata }) });
