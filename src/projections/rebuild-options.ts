import type { EventStore } from '../event-store/event-store.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { Projection } from './projection.ts';
import type { RebuildProgress } from './rebuild-progress.ts';

export type RebuildOptions = Readonly<{
  /** Empty: all. */
  names: readonly string[];
  database: Database;
  store: EventStore;
  logger?: Logger;
  onProgress?: (progress: RebuildProgress) => void;
  /** Stops it at the end of a page; the next rebuild goes on from there. */
  signal?: AbortSignal;
  /** Build and compare, and leave what is live; the next rebuild goes on from there. */
  shadow?: boolean;
  /** Swap only if the new rows equal the live ones at the same position. */
  verify?: boolean;
  /** Begin anew instead of where a stopped rebuild left off. */
  fresh?: boolean;
  pageSize?: number;
  /** How many connections fill one generation at once, each with the streams of one hash slot; 2 unless said. */
  slots?: number;
  projections?: readonly Projection[];
}>;
