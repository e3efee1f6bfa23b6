import { InMemoryEventStore } from '../event-store/in-memory-event-store.ts';
import type { Recorded } from '../events/event.ts';
import type { JobEvent, Wait, WaitOutcome } from '../events/job.ts';
import { isAwaited } from '../events/payload-match.ts';
import type { SignalEvent } from '../events/signal.ts';
import type { JsonValue } from '../sdk/index.ts';
import { DecideJob, type Door, type JobDecision, SendSignal } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { JobDecisions } from '../write/job/decide-job.ts';
import { type JobState, job } from '../write/job/decider.ts';
import { Signals } from '../write/signal/send-signal.ts';

/** A signal as a test gives it. */
export type TestSignal = Readonly<{ event: string; key?: string | null; payload?: JsonValue }>;

/** The position of the job's request, the first event of its log. */
const REQUEST = 1n;

/** One job and the signals around it: the rules that decide in production, over a log in memory. */
export class JobLog {
  private readonly store = new InMemoryEventStore();
  private readonly decisions = new JobDecisions(this.store);
  private readonly signals = new Signals(this.store, this.decisions, () => Promise.resolve([]));
  private commands = 0;
  private signalsSent = 0;
  /** As the last decision left it. Only decisions of this class change the job. */
  private stateNow: JobState = job.initialState;

  constructor(readonly jobId: string) {}

  /** What a run reports through. */
  readonly door: Door = {
    execute: (command: unknown) =>
      command instanceof DecideJob
        ? this.put(command)
        : Promise.reject(new TypeError('A run puts commands to its job, and nothing else')),
    // The door answers each command with its own type; a run knows only the one of `DecideJob`.
  } as Door;

  decide(command: JobCommand): Promise<JobDecision> {
    const commandId = `${this.jobId}:${String(++this.commands)}`;
    return this.put(new DecideJob(this.jobId, command, { commandId }));
  }

  /** Stores the signal; whether a wait ends with it is for `endOf` to say. */
  async send({ event, key = null, payload = null }: TestSignal, at: Date): Promise<void> {
    const id = `${this.jobId}:signal:${String(++this.signalsSent)}`;
    await this.signals.send(new SendSignal({ id, event, key, payload, at }));
  }

  get state(): JobState {
    return this.stateNow;
  }

  /** The events after a version. */
  eventsAfter(version: number): Promise<readonly Recorded<JobEvent>[]> {
    return this.store.readStream<JobEvent>(this.jobId, { from: version + 1 });
  }

  /**
   * How the wait ends now, or null: with the oldest signal that matches, came since the job was requested and ended
   * no other wait of it, as the dispatcher says; else with its time.
   */
  async endOf(
    { on, until }: Wait,
    used: ReadonlySet<string>,
    now: Date,
  ): Promise<WaitOutcome | null> {
    const signals = await this.store.readAll<SignalEvent>({
      after: REQUEST,
      limit: Number.MAX_SAFE_INTEGER,
      types: ['SignalReceived'],
    });
    for (const recorded of signals) {
      if (used.has(recorded.streamId)) continue;
      const { event, key, payload } = recorded.data;
      if (isAwaited(on, recorded.data)) {
        return { kind: 'signal', signalId: recorded.streamId, event, key, payload };
      }
    }
    return until !== null && Date.parse(until) <= now.getTime() ? { kind: 'timeout' } : null;
  }

  private async put(command: DecideJob): Promise<JobDecision> {
    const decision = await this.decisions.decide(command);
    this.stateNow = decision.history.state;
    return decision;
  }
}
