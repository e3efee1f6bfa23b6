import { expect } from 'vitest';

import type { EventStore } from '../../src/event-store/event-store.ts';
import type { LogHints } from '../../src/event-store/log-hints.ts';
import { appendCases } from './append-cases.ts';
import { readCases } from './read-cases.ts';

/** One log, seen through two stores. Other cases have appended to it. */
export type Subject = Readonly<{ store: EventStore; other: EventStore; hints: LogHints }>;

export type Case = Readonly<{ name: string; run: (subject: Subject) => Promise<void> }>;

/** What every log must do, whatever it is kept in. */
export const contract: readonly Case[] = [...appendCases, ...readCases];

/** Fails when a case was lost, or left out by mistake. */
export function expectWholeContract(): void {
  expect(contract.map(({ name }) => name)).toEqual([...new Set(contract.map(({ name }) => name))]);
  expect(contract).toHaveLength(27);
}
