import { expect } from 'vitest';

import type { Decider } from '../../src/write/decider.ts';
import { Rejected } from '../../src/write/rejected.ts';

/** given(decider, …history).when(command).emits(…events) */
export function given<Command, Event, State>(
  { initialState, evolve, decide }: Decider<Command, Event, State>,
  ...history: readonly Event[]
) {
  return {
    when: (command: Command) => {
      const outcome = () => decide(history.reduce<State>(evolve, initialState), command);
      return {
        emits: (...events: readonly Event[]) => {
          expect(outcome()).toEqual(events);
        },
        emitsNothing: () => {
          expect(outcome()).toEqual([]);
        },
        isRefused: (reason: string) => {
          expect(outcome).toThrow(new Rejected(reason));
        },
      };
    },
  };
}
