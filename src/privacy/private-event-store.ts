import {
  type Append,
  type AppendResult,
  EventStore,
  type LogRange,
  type NewEvent,
  type StreamRange,
} from '../event-store/event-store.ts';
import type { Event, Recorded } from '../events/event.ts';
import { SUBJECT_FORGOTTEN } from '../events/subject.ts';
import { sealEvent } from './seal-names.ts';
import type { Vault } from './vault.ts';

/** The log for those who work with names: they are sealed when they are appended, and opened when they are read. */
export class PrivateEventStore extends EventStore {
  constructor(
    private readonly sealed: EventStore,
    private readonly vault: Vault,
  ) {
    super();
  }

  async append(command: Append): Promise<AppendResult> {
    const events: NewEvent[] = [];
    for (const event of command.events) events.push(await sealEvent(this.vault, event));
    return this.sealed.append({ ...command, events });
  }

  async readStream<E extends Event = Event>(
    streamId: string,
    range?: StreamRange,
  ): Promise<readonly Recorded<E>[]> {
    return this.open(await this.sealed.readStream<E>(streamId, range));
  }

  async readAll<E extends Event = Event>(range: LogRange): Promise<readonly Recorded<E>[]> {
    return this.open(await this.sealed.readAll<E>(range));
  }

  head(): Promise<bigint> {
    return this.sealed.head();
  }

  private open<E extends Event>(events: readonly Recorded<E>[]): Promise<readonly Recorded<E>[]> {
    if (events.some(({ type }) => type === SUBJECT_FORGOTTEN)) this.vault.forgetKept();
    return this.vault.open(events);
  }
}
