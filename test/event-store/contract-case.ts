import type { EventStore } from '../../src/event-store/event-store.ts';
import type { LogHints } from '../../src/event-store/log-hints.ts';

/** One log, seen through two stores. Other cases have appended to it. */
export type Subject = Readonly<{ store: EventStore; other: EventStore; hints: LogHints }>;

export type Case = Readonly<{ name: string; run: (subject: Subject) => Promise<void> }>;
