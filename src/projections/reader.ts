import type { Projection, TableNames } from './projection.ts';

/** One of the equal shares of all streams, in which several connections fill one generation at once. */
export type Slot = Readonly<{ index: number; of: number }>;

/** What a reader leaves out of its pages: streams that wait, and events that are passed over for good. */
export type LeftOut = Readonly<{ streams: ReadonlySet<string>; positions: ReadonlySet<bigint> }>;

/** One generation of a projection on its way through the log, and the right to move it. */
export type Reader = {
  readonly projection: Projection;
  readonly generation: number;
  readonly tables: TableNames;
  /** Of its checkpoint. */
  readonly name: string;
  readonly epoch: bigint;
  /** The last event that its rows have seen. */
  position: bigint;
  /** The share of all streams that it folds; null: all of them. */
  readonly slot: Slot | null;
  /** While a generation is filled: the readers of its slots, each at a place of its own. Else empty. */
  slots: readonly Reader[];
  /** What is not for its rows. */
  readonly leftOut: LeftOut;
};

/** Readers that stand at one place, and the next place where others stand: up to there they may share their pages. */
export type Group = Readonly<{ readers: readonly Reader[]; after: bigint; upTo: bigint | null }>;

/** Lowest first. */
export function groupByPosition(readers: readonly Reader[]): readonly Group[] {
  const positions = [...new Set(readers.map(({ position }) => position))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  return positions.map((after, index) => ({
    readers: readers.filter(({ position }) => position === after),
    after,
    upTo: positions[index + 1] ?? null,
  }));
}
