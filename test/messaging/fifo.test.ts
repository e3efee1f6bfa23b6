import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Fifo } from '../../src/messaging/fifo.ts';

const anyStep = fc.oneof(
  { weight: 3, arbitrary: fc.record({ push: fc.nat() }) },
  { weight: 2, arbitrary: fc.constant('shift' as const) },
  { weight: 1, arbitrary: fc.record({ prepend: fc.array(fc.nat(), { maxLength: 3 }) }) },
);

test('gives out what an array would, in whatever order it is used', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 50, size: 'max' }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const step of steps) {
        if (step === 'shift') expect(fifo.shift()).toBe(model.shift());
        else if ('push' in step) {
          fifo.push(step.push);
          model.push(step.push);
        } else {
          fifo.prepend(step.prepend);
          model.unshift(...step.prepend);
        }
        expect([fifo.size, fifo.peek()]).toEqual([model.length, model[0]]);
      }
    }),
  );
});

test('a long one gives out everything in order', () => {
  const fifo = new Fifo<number>();
  for (let n = 0; n < 5_000; n++) fifo.push(n);
  for (let n = 0; n < 5_000; n++) expect(fifo.shift()).toBe(n);
  expect(fifo.shift()).toBeUndefined();
});
