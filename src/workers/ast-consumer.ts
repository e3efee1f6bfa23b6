import { QUEUES, signal as signalDestination } from '../messaging/topology.ts';
import type { Disposition, IncomingMessage, Transport } from '../messaging/transport.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import { derivedId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { isNonRetriable } from '../sdk/errors.ts';
import type { JsonValue } from '../sdk/trigger.ts';
import { classify } from './failure.ts';
import { toKeptJson } from './kept-json.ts';

/** The event of the signal that answers a request. Its key is the job's id. */
const AST_COMPLETED = 'ast.completed';

/** What a paused job asks for: the body that its workflow gave, and which wait the answer ends. */
export type AstRequest = Readonly<{ jobId: string; waitId: string }> &
  Readonly<Record<string, JsonValue>>;

export type AstConsumerOptions = Readonly<{
  transport: Pick<Transport, 'consume' | 'publish'>;
  /** Throws `NonRetriable` for what no repetition can mend. */
  analyse: (request: AstRequest, signal: AbortSignal) => Promise<JsonValue>;
  logger: Logger;
  /** How many requests are worked on at a time. */
  concurrency?: number;
}>;

/**
 * Answers the requests for an analysis, each with a signal. A request that comes again, because its answer was late or
 * lost, has the same answer's id: one signal, however often it is sent.
 */
export class AstConsumer {
  constructor(private readonly options: AstConsumerOptions) {}

  async run(signal: AbortSignal): Promise<void> {
    const { transport, concurrency = 2, logger } = this.options;
    const handle = (message: IncomingMessage): Promise<Disposition> => this.answer(message, signal);
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await transport.consume({ queue: QUEUES.ast, prefetch: concurrency, handle }, signal);
      } catch (error) {
        logger.warn({ err: error }, 'the consumer of analyses ended, and begins again');
        await pause(backoffMs(failures), signal);
      }
    }
  }

  private async answer(message: IncomingMessage, signal: AbortSignal): Promise<Disposition> {
    const request = requestOf(message);
    if (request === null)
      return { dead: 'No request for an analysis: it needs a jobId and a waitId' };
    const { jobId, waitId } = request;
    const id = derivedId('ast', jobId, waitId, message.messageId);
    const payload = await this.payloadOf(request, signal);
    await this.options.transport.publish({
      ...signalDestination(AST_COMPLETED),
      messageId: id,
      body: { id, event: AST_COMPLETED, key: jobId, payload },
      mandatory: true,
    });
    return 'ack';
  }

  /** The job hears of a failure that will not go away; any other throws, and the request is delivered again. */
  private async payloadOf(request: AstRequest, signal: AbortSignal): Promise<JsonValue> {
    const { analyse, logger } = this.options;
    const { jobId } = request;
    try {
      return toKeptJson(await analyse(request, signal), 'The answer of the analysis');
    } catch (error) {
      logger.warn({ err: error, jobId }, 'an analysis failed');
      if (!isNonRetriable(error)) throw error;
      return { error: { message: classify(error).error.message, permanent: true } };
    }
  }
}

function requestOf({ body }: IncomingMessage): AstRequest | null {
  if (typeof body !== 'object' || body === null) return null;
  if (!('jobId' in body) || typeof body.jobId !== 'string') return null;
  if (!('waitId' in body) || typeof body.waitId !== 'string') return null;
  // The body came as JSON, so all of it is.
  return body as AstRequest;
}
