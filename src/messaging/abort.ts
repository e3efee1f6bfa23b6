/** Resolves when `signal` aborts; `release` takes the listener away. */
export function whenAborted(
  signal: AbortSignal,
): Readonly<{ aborted: Promise<void>; release: () => void }> {
  const released = new AbortController();
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true, signal: released.signal });
  });
  return { aborted, release: () => released.abort() };
}

/**
 * A signal that aborts with the first of `signals`, until released. What `AbortSignal.any` makes is kept as long as the
 * oldest of them lives (Node 20: 1.2 KB each), and consumers come and go.
 */
export function linked(
  ...signals: readonly AbortSignal[]
): Readonly<{ signal: AbortSignal; release: () => void }> {
  const either = new AbortController();
  const onAbort = (): void => either.abort();
  for (const signal of signals) {
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  }
  return {
    signal: either.signal,
    release: () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort);
    },
  };
}
