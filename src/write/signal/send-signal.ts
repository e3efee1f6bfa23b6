import type { AppendResult, EventStore } from '../../event-store/event-store.ts';
import type { Wait } from '../../events/job.ts';
import { isAwaited } from '../../events/payload-match.ts';
import type { SignalEvent } from '../../events/signal.ts';
import { derivedId } from '../../platform/ids.ts';
import { DecideJob, type SendSignal, type SignalReceipt } from '../door.ts';
import type { JobDecisions } from '../job/decide-job.ts';
import { Rejected } from '../rejected.ts';

/** The jobs that wait for an event now, of whatever payload, as the dispatcher's tables say; they may lag a little. */
export type FindWaiting = (
  event: string,
  key: string | null,
) => Promise<
  readonly Readonly<{ jobId: string; waitId: string; on: Wait['on']; requestedPosition: bigint }>[]
>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Stores signals and resumes at once the jobs that are known to wait. A job that is missed, because it paused a
 * moment ago, is resumed by the dispatcher, which sees every signal and every pause.
 */
export class Signals {
  constructor(
    private readonly store: EventStore,
    private readonly jobs: JobDecisions,
    private readonly findWaiting: FindWaiting,
  ) {}

  async send({ signal }: SendSignal): Promise<SignalReceipt> {
    const signalId = UUID.test(signal.id)
      ? signal.id.toLowerCase()
      : derivedId('signal', signal.id);
    const { event, key } = signal;
    // At once, as the tables lag anyhow: whoever waits since is the dispatcher's to resume.
    const [{ position }, waiting] = await Promise.all([
      this.record(signalId, signal),
      this.findWaiting(event, key),
    ]);
    const resumed = await Promise.all(
      waiting
        // A signal that is sent once more may be older than the job.
        .filter(
          ({ on, requestedPosition }) => requestedPosition < position && isAwaited(on, signal),
        )
        .map((job) => this.resume(job, { ...signal, id: signalId })),
    );
    return { signalId, position, resumed: resumed.filter((id) => id !== null) };
  }

  private async record(
    signalId: string,
    { event, key, payload, at, actor }: SendSignal['signal'],
  ): Promise<{ position: bigint }> {
    const received: SignalEvent = { type: 'SignalReceived', at, data: { event, key, payload } };
    const metadata = { correlationId: signalId, ...(actor === undefined ? {} : { actor }) };
    const result = await this.store.append({
      streamId: signalId,
      expected: 0,
      events: [{ ...received, id: derivedId(signalId, received.type), metadata }],
    });
    return { position: storedAt(result, signalId) };
  }

  /** Gives the job's id when it was resumed, null when it had moved on. */
  private async resume(
    { jobId, waitId }: Readonly<{ jobId: string; waitId: string }>,
    { id: signalId, event, key, payload, at }: SendSignal['signal'],
  ): Promise<string | null> {
    const outcome = { kind: 'signal', signalId, event, key, payload } as const;
    try {
      const { events } = await this.jobs.decide(
        new DecideJob(
          jobId,
          { type: 'ResumeJob', at, data: { waitId, outcome } },
          { commandId: derivedId(jobId, waitId, signalId), causationId: signalId },
        ),
      );
      return events.length > 0 ? jobId : null;
    } catch (error) {
      if (error instanceof Rejected) return null;
      throw error;
    }
  }
}

function storedAt(result: AppendResult, signalId: string): bigint {
  if (result.status === 'appended' || result.status === 'duplicate') return result.firstPosition;
  throw new Rejected(
    'signal-id-taken',
    `The id ${signalId} is not free: send the signal with another`,
  );
}
