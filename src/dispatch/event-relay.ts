import { CheckpointLost, moveCheckpointAlone, readCheckpoint } from '../event-store/checkpoint.ts';
import type { EventStore, LogPage } from '../event-store/event-store.ts';
import { Leadership, type Term } from '../event-store/leadership.ts';
import type { LogHints } from '../event-store/log-hints.ts';
import { Pace } from '../event-store/pace.ts';
import type { Event, Recorded } from '../events/event.ts';
import { isJobEvent } from '../events/job.ts';
import { jobEvent } from '../messaging/topology.ts';
import type { OutgoingMessage, Transport } from '../messaging/transport.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { RELAY } from './names.ts';
import { publishAll } from './publish-all.ts';

/** An event may hold a megabyte, and a page of them is in memory at once. */
const PAGE_SIZE = 200;
const NOT_READY_MS = 100;

export type EventRelayParts = Readonly<{
  database: Database;
  databaseUrl: string;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  transport: Pick<Transport, 'publish' | 'isReady'>;
  counts: DispatchCounts;
  logger: Logger;
}>;

const REST_MS = 25;

/**
 * Publishes every event of every job for other systems, in the order of the log and at least once: after a crash or a
 * refusal it goes on behind the last event before which none was left unconfirmed. What it has not published stays
 * in the log and nowhere else.
 */
export class EventRelay {
  constructor(private readonly parts: EventRelayParts) {}

  async run(signal: AbortSignal): Promise<void> {
    const { databaseUrl, logger } = this.parts;
    const leadership = new Leadership({ databaseUrl, name: RELAY, logger });
    await leadership.lead(signal, (term) => this.relay(term));
  }

  /** How many events of the log are not published yet. */
  async lag(): Promise<bigint> {
    const { store, database } = this.parts;
    const position = await readCheckpoint(database, RELAY);
    return (await store.head()) - position;
  }

  private async relay({ epoch, signal }: Term): Promise<void> {
    const { transport, logger, hints } = this.parts;
    const pace = new Pace(hints, REST_MS);
    let position: bigint | undefined;
    let failures = 0;
    while (!signal.aborted) {
      pace.begin();
      try {
        if (!transport.isReady()) {
          await pause(NOT_READY_MS, signal);
          continue;
        }
        position ??= await readCheckpoint(this.parts.database, RELAY);
        const page = await this.relayPage(epoch, position);
        const passed = Number(page.to - position);
        position = page.to;
        failures = 0;
        await pace.next({ taken: passed, more: page.more }, signal);
      } catch (error) {
        if (error instanceof CheckpointLost) throw error;
        position = undefined;
        failures++;
        logger.warn({ err: error, follower: RELAY, failures }, 'the relay waits');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  /** Publishes the page after `from` and moves the checkpoint over what is confirmed. Throws when that was not all of it. */
  async relayPage(epoch: bigint, from: bigint): Promise<LogPage> {
    const { database, store, transport, counts } = this.parts;
    const page = await store.readPage({ after: from, limit: PAGE_SIZE });
    if (page.to === from) return page;
    const { events } = page;
    const jobEvents = events.filter((event) => isJobEvent(event));
    const publications = await publishAll(transport, jobEvents.map(message));
    const stuck = publications.findIndex(({ status }) => status !== 'confirmed');
    const stuckAt = jobEvents[stuck];
    const to = stuckAt === undefined ? page.to : stuckAt.position - 1n;
    if (to > from) await moveCheckpointAlone(database, { name: RELAY, epoch, from, to });
    counts.relayed += publications.filter(({ status }) => status === 'confirmed').length;
    if (stuckAt !== undefined) {
      throw new Error(`Event ${String(stuckAt.position)} was not confirmed`, {
        cause: publications[stuck],
      });
    }
    return page;
  }
}

const message = (event: Recorded<Event>): OutgoingMessage => ({
  ...jobEvent(event.type),
  messageId: event.id,
  body: {
    id: event.id,
    type: event.type,
    jobId: event.streamId,
    version: event.version,
    position: String(event.position),
    at: event.at.toISOString(),
    recordedAt: event.recordedAt.toISOString(),
    data: event.data,
    metadata: event.metadata,
  },
});
