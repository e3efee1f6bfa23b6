import type { EventStore } from '../../src/event-store/event-store.ts';
import type { Event, Recorded } from '../../src/events/event.ts';
import { type JobEvent, isJobEvent } from '../../src/events/job.ts';
import { isAwaited } from '../../src/events/payload-match.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { derivedId, newId } from '../../src/platform/ids.ts';
import {
  DecideJob,
  type Door,
  type JobDecision,
  ReceiveDelivery,
  type SendSignal,
  type SignalReceipt,
} from '../../src/write/door.ts';
import { handle } from '../../src/write/handle.ts';
import { type JobState, job } from '../../src/write/job/decider.ts';

/**
 * The door over any event store, for tests of what stands behind it: the job's own rules, tried again on a
 * conflict. `SendSignal` finds the waiting jobs by reading the whole log, so keep that small. Deliveries are
 * not received here.
 */
export function inMemoryDoor(store: EventStore): Door {
  const execute = (
    command: DecideJob | SendSignal | ReceiveDelivery,
  ): Promise<JobDecision | SignalReceipt> => {
    if (command instanceof DecideJob) return decide(store, command);
    if (command instanceof ReceiveDelivery) {
      return Promise.reject(new Error('The in-memory door receives no deliveries'));
    }
    return send(store, command);
  };
  return { execute } as Door;
}

function decide(store: EventStore, { jobId, command, options }: DecideJob): Promise<JobDecision> {
  const { commandId = newId(), correlationId = jobId, ...rest } = options;
  return handle(
    store,
    job,
    { streamId: jobId, command },
    { ...rest, commandId, metadata: () => ({ correlationId }) },
  );
}

async function send(store: EventStore, { signal }: SendSignal): Promise<SignalReceipt> {
  const { id, event, key, payload, at } = signal;
  const received: SignalEvent = { type: 'SignalReceived', at, data: { event, key, payload } };
  await store.append({
    streamId: id,
    expected: 0,
    events: [{ ...received, id: derivedId(id, 'SignalReceived') }],
  });
  const [stored] = await store.readStream<SignalEvent>(id);
  if (stored === undefined) throw new Error(`Signal ${id} was not stored`);
  const resumed = await resumeWaiting(store, stored);
  return { signalId: id, position: stored.position, resumed };
}

async function resumeWaiting(
  store: EventStore,
  signal: Recorded<SignalEvent>,
): Promise<readonly string[]> {
  const { event, key, payload } = signal.data;
  const resumed: string[] = [];
  for (const [jobId, events] of jobsOf(await store.readAll({ after: 0n, limit: 1_000_000 }))) {
    if ((events[0]?.position ?? 0n) > signal.position) continue;
    const { phase } = events.reduce<JobState>((s, e) => job.evolve(s, e), job.initialState);
    if (phase.status !== 'paused') continue;
    const { wait } = phase;
    if (!isAwaited(wait.on, signal.data)) continue;
    const outcome = { kind: 'signal', signalId: signal.streamId, event, key, payload } as const;
    const decision = await decide(
      store,
      new DecideJob(jobId, {
        type: 'ResumeJob',
        at: signal.at,
        data: { waitId: wait.id, outcome },
      }),
    );
    if (decision.events.length > 0) resumed.push(jobId);
  }
  return resumed;
}

function jobsOf(log: readonly Recorded<Event>[]): Map<string, Recorded<JobEvent>[]> {
  const jobs = new Map<string, Recorded<JobEvent>[]>();
  for (const event of log) {
    if (!isJobEvent(event)) continue;
    const events = jobs.get(event.streamId) ?? [];
    events.push(event);
    jobs.set(event.streamId, events);
  }
  return jobs;
}
