import { setMaxListeners } from 'node:events';

export const ABORTED = Symbol('aborted');

/** What the work gives, or `ABORTED` as soon as the signal aborts; the work itself goes on unheard. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | typeof ABORTED> {
  return new Promise((resolve, reject) => {
    const unlisten = onAbort(signal, () => {
      resolve(ABORTED);
    });
    work.finally(unlisten).then(resolve, reject);
  });
}

/** A controller that aborts with the first of the signals, until it is unlinked; any number may listen to it. */
export function linked(
  ...signals: readonly AbortSignal[]
): Readonly<{ signal: AbortSignal; abort: (reason?: unknown) => void; unlink: () => void }> {
  const controller = manyListeners(new AbortController());
  const unlinks = signals.map((signal) =>
    onAbort(signal, () => {
      controller.abort(signal.reason);
    }),
  );
  return {
    signal: controller.signal,
    abort: (reason) => {
      controller.abort(reason);
    },
    unlink: () => {
      for (const unlink of unlinks) unlink();
    },
  };
}

/** Calls the listener once, at the abort or now if that has been; gives what takes it back. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
  };
}

/** Node warns of a leak from the eleventh listener on; here each job has one. */
export function manyListeners(controller: AbortController): AbortController {
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Whether the work is done within the time. */
export async function within(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
