import type { JobEvent } from '../events/job.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { DecideJob, type Door, type JobHistory } from '../write/door.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { Rejected } from '../write/rejected.ts';
import { ABORTED, orAborted } from './abort.ts';

/** One job that one worker has taken: the right to speak for it until somebody else does. */
export type Claim = Readonly<{
  jobId: string;
  runId: string;
  workerId: string;
  /** The job right after its `JobStarted`. */
  history: JobHistory;
}>;

/** The door refused: another run has the job, or it has ended. */
export const LOST = Symbol('lost');

/** The log would not take a report for so long that the run must end another way. */
class NotReported extends Error {
  override readonly name = 'NotReported';
}

type Options = Readonly<{
  door: Door;
  logger: Logger;
  /** Aborts when the run has lost its job: what is still to be reported is dropped. */
  lost: AbortSignal;
  /** How long a report that is not the run's last may be tried again. */
  patienceMs: number;
}>;

/**
 * Appends what a run has to say, one after the other and each upon the history that the last one left, so parallel
 * steps need no second read. A report that may or may not have been stored is sent again under its own id.
 */
export class RunReports {
  private history: JobHistory;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly claim: Claim,
    private readonly options: Options,
  ) {
    this.history = claim.history;
  }

  /** Appends a report in the middle of a run; throws `NotReported` when the log would not take it. */
  report(command: JobCommand): Promise<readonly JobEvent[] | typeof LOST> {
    return this.inOrder(() => this.send(command, this.options.patienceMs));
  }

  /** Appends how the run ended, whatever it takes: the job would hang if nobody said so. */
  reportEnd(command: JobCommand): Promise<readonly JobEvent[] | typeof LOST> {
    return this.inOrder(() => this.send(command, Number.POSITIVE_INFINITY));
  }

  private inOrder<T>(send: () => Promise<T>): Promise<T> {
    const sent = this.last.then(send);
    this.last = sent.catch(() => {
      // Whoever awaits this report hears of it; the next one is sent all the same.
    });
    return sent;
  }

  private async send(
    command: JobCommand,
    patienceMs: number,
  ): Promise<readonly JobEvent[] | typeof LOST> {
    const { lost, logger } = this.options;
    const commandId = newId();
    const giveUpAt = performance.now() + patienceMs;
    for (let tries = 1; !lost.aborted; tries++) {
      try {
        const events = await orAborted(this.decide(command, commandId), lost);
        return events === ABORTED ? LOST : events;
      } catch (error) {
        if (error instanceof Rejected) return LOST;
        if (performance.now() > giveUpAt) {
          throw new NotReported(`The log did not take ${command.type}`, { cause: error });
        }
        logger.warn({ err: error, command: command.type, tries }, 'a report failed, trying again');
        await pause(backoffMs(tries), lost);
      }
    }
    return LOST;
  }

  private async decide(command: JobCommand, commandId: string): Promise<readonly JobEvent[]> {
    const { jobId, workerId } = this.claim;
    const decision = await this.options.door.execute(
      new DecideJob(jobId, command, {
        commandId,
        known: this.history,
        actor: workerId,
        correlationId: correlationOf(this.claim),
      }),
    );
    this.history = decision.history;
    return decision.events;
  }
}

/** Everything that follows from a delivery has the delivery's id; what was asked for by hand has the job's. */
export const correlationOf = ({ jobId, history }: Claim): string =>
  history.state.request.deliveryId ?? jobId;
