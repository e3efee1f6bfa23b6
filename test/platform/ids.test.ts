import fc from 'fast-check';
import { v5, validate, version } from 'uuid';
import { expect, test } from 'vitest';

import { derivedId, newId } from '../../src/platform/ids.ts';

test('a derived id is the UUIDv5 of its parts, as it has been since the first', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (parts) => {
      expect(derivedId(...parts)).toBe(
        v5(JSON.stringify(parts), 'd0a3c7f4-0f6b-5e0e-9a43-8f1c5e1d7b52'),
      );
    }),
  );
});

test('new ids are all different UUIDv7, and those of later milliseconds sort after', async () => {
  const ids = Array.from({ length: 2_000 }, newId);
  await new Promise((resolve) => setTimeout(resolve, 3));
  const later = newId();

  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  expect(ids.every((id) => id < later)).toBe(true);
});
