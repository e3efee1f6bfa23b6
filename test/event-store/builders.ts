import { randomUUID } from 'node:crypto';

import type {
  Append,
  EventStore,
  ExpectedVersion,
  NewEvent,
} from '../../src/event-store/event-store.ts';
import type { Recorded } from '../../src/events/event.ts';

export const AT = new Date('2026-11-20T10:11:12.345Z');

export const event = (type = 'Happened', data: object = { note: 'a' }): NewEvent => ({
  id: randomUUID(),
  type,
  at: AT,
  data,
});

export const events = (count: number, type?: string): readonly NewEvent[] =>
  Array.from({ length: count }, () => event(type));

export const newStream = (): string => `stream-${randomUUID()}`;

export const command = (
  streamId: string,
  expected: ExpectedVersion,
  ...list: readonly NewEvent[]
): Append => ({ streamId, expected, events: list });

export const ids = (list: readonly Readonly<{ id: string }>[]): readonly string[] =>
  list.map(({ id }) => id);

export const versions = (list: readonly Recorded[]): readonly number[] =>
  list.map(({ version }) => version);

export const positions = (list: readonly Recorded[]): readonly bigint[] =>
  list.map(({ position }) => position);

/** From 1 to `to`, or from `from` to `to`. */
export const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

/** Everything after a position, read page by page. */
export async function readEverything(
  store: EventStore,
  after = 0n,
  limit = 1000,
): Promise<readonly Recorded[]> {
  const all: Recorded[] = [];
  for (;;) {
    const page = await store.readAll({ after: all.at(-1)?.position ?? after, limit });
    all.push(...page);
    if (page.length < limit) return all;
  }
}

/** Throws unless the positions run on from `after` without a hole. */
export function assertDense(list: readonly Recorded[], after: bigint): void {
  for (const [index, { position }] of list.entries()) {
    const due = after + BigInt(index + 1);
    if (position !== due)
      throw new Error(`position ${String(position)} where ${String(due)} is due`);
  }
}

/** A promise that is resolved from outside. */
export function gate(): Readonly<{ promise: Promise<void>; open: () => void }> {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
