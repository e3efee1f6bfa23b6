import { expect } from 'vitest';

import { appendCases } from './append-cases.ts';
import type { Case } from './contract-case.ts';
import { readCases } from './read-cases.ts';

/** What every log must do, whatever it is kept in. */
export const contract: readonly Case[] = [...appendCases, ...readCases];

/** Fails when a case was lost, or left out by mistake. */
export function expectWholeContract(): void {
  expect(contract.map(({ name }) => name)).toEqual([...new Set(contract.map(({ name }) => name))]);
  expect(contract).toHaveLength(27);
}
