import { QUEUES } from '../messaging/topology.ts';
import type { Transport } from '../messaging/transport.ts';
import type { Logger } from '../platform/logger.ts';
import type { PromptHints, ReadyJob } from '../write/prompt-hints.ts';
import { hintMessage } from './hint-message.ts';

/**
 * So many hints may stand in a queue before the dispatcher alone decides who comes next, by priority and fairly: what
 * is in RabbitMQ's queue can be overtaken by nobody.
 */
const MAX_STANDING = 32;
const ASK_EVERY_MS = 10;
/** A queue that is full, or out of reach, stays so for a while, and each look at it costs a channel. */
const ASK_AGAIN_WHEN_FULL_MS = 500;

/**
 * Publishes hints right after the append, for as long as the queue of new jobs is nearly empty. It looks how full the
 * queue is only when it has published a good part of what fits.
 */
export class PromptJobHints implements PromptHints {
  private credit = MAX_STANDING;
  private askAt = 0;
  private isAsking = false;

  constructor(
    private readonly parts: Readonly<{
      transport: Pick<Transport, 'publish' | 'isReady' | 'depth'>;
      logger: Logger;
    }>,
  ) {}

  reserve(): boolean {
    if (this.credit <= MAX_STANDING / 2) void this.ask();
    if (this.credit <= 0 || !this.parts.transport.isReady()) return false;
    this.credit--;
    return true;
  }

  giveBack(): void {
    this.credit++;
  }

  publish(job: ReadyJob): void {
    const { transport, logger } = this.parts;
    transport.publish(hintMessage(job)).catch((error: unknown) => {
      logger.warn(
        { err: error, jobId: job.jobId },
        'a prompt hint was not taken: the dispatcher brings it',
      );
    });
  }

  private async ask(): Promise<void> {
    if (this.isAsking || performance.now() < this.askAt) return;
    this.isAsking = true;
    let pauseMs = ASK_AGAIN_WHEN_FULL_MS;
    try {
      const ready = await this.parts.transport.depth(QUEUES.jobs);
      this.credit = Math.max(0, MAX_STANDING - ready);
      if (this.credit > 0) pauseMs = ASK_EVERY_MS;
    } catch (error) {
      this.parts.logger.debug({ err: error }, 'the queue of jobs could not be looked at');
    } finally {
      this.isAsking = false;
      this.askAt = performance.now() + pauseMs;
    }
  }
}
