import { Worker } from 'node:worker_threads';

import { type Interpretation, interpret } from './interpret.ts';
import { type BodyFormat, type Headers, MEBIBYTE, type WebhookProvider } from './provider.ts';
import { providerOf } from './providers.ts';

/** A delivery to interpret, as it is sent to the worker thread. */
export type InterpretOrder = Readonly<{
  provider: WebhookProvider['name'];
  headers: Headers;
  body: Uint8Array;
  format: BodyFormat;
}>;

/** Beyond it a body takes so long to parse that others would notice. */
const LARGEST_INLINE = MEBIBYTE;

/** What one body of 25 MiB may grow to when it is parsed. */
const WORKER_HEAP_MIB = 512;

/**
 * Interprets deliveries: small ones at once, large ones one after another on a worker thread, which is
 * started when the first comes. The thread is lost with a body that breaks it, and only with that one.
 */
export class Interpreter {
  private worker: Worker | null = null;
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly workerUrl: URL = new URL('./interpret-worker.js', import.meta.url),
  ) {}

  /** Rejects only when the worker thread was lost. */
  async interpret(order: InterpretOrder): Promise<Interpretation> {
    if (order.body.length <= LARGEST_INLINE) return carryOut(order);
    const turn = this.last.then(() => this.onWorker(order));
    this.last = turn.catch(() => undefined);
    return turn;
  }

  /** Ends the thread; an order that it had is lost. */
  async close(): Promise<void> {
    await this.worker?.terminate();
  }

  private onWorker(order: InterpretOrder): Promise<Interpretation> {
    return new Promise((resolve, reject) => {
      const worker = this.start();
      const stop = (): void => {
        worker.off('message', onMessage).off('error', onError).off('exit', onExit);
        worker.unref();
      };
      const onMessage = (result: Interpretation): void => {
        stop();
        resolve(result);
      };
      const onError = (error: unknown): void => {
        stop();
        reject(new Error('The thread that reads large bodies broke', { cause: error }));
      };
      const onExit = (code: number): void => {
        onError(new Error(`It exited with ${String(code)}`));
      };
      worker.on('message', onMessage).on('error', onError).on('exit', onExit);
      worker.ref();
      // A copy, which moves there without another; the original is still to be stored.
      const body = Uint8Array.from(order.body);
      worker.postMessage({ ...order, body }, [body.buffer]);
    });
  }

  private start(): Worker {
    if (this.worker !== null) return this.worker;
    const worker = new Worker(this.workerUrl, {
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MIB },
    });
    const forget = (): void => {
      if (this.worker === worker) this.worker = null;
    };
    worker.on('error', forget).on('exit', forget);
    worker.unref();
    this.worker = worker;
    return worker;
  }
}

/** What is done with an order, on either thread. */
export function carryOut(order: InterpretOrder): Interpretation {
  const body = Buffer.from(order.body.buffer, order.body.byteOffset, order.body.byteLength);
  return interpret(providerOf(order.provider), { ...order, body });
}
