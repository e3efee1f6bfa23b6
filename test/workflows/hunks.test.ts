import fc from 'fast-check';
import { expect, test } from 'vitest';

import { AddedLines } from '../../src/workflows/code-review/git/hunks.ts';

const PATCH = `diff --git a.ts a.ts
index 1111..2222 100644
--- a.ts
+++ a.ts
@@ -0,0 +1 @@
+one
@@ -4,2 +5,3 @@ function name() {
-@@ -1 +1 @@
-old
+@@ -9 +9,9 @@
+index 1..2
+${'x'.repeat(1000)} @@ -7 +7 @@
@@ -9 +10,0 @@
-gone
diff --git b.png b.png
index 3333..4444 100644
Binary files b.png and b.png differ
`;

test('the added lines of each file are read, however the patch is cut into pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (lengths) => {
      const lines = new AddedLines();
      const patch = Buffer.from(PATCH);
      for (let at = 0, piece = 0; at < patch.length; piece += 1) {
        const length = lengths[piece % lengths.length] ?? 1;
        lines.push(patch.subarray(at, at + length));
        at += length;
      }
      expect(lines.of('1111', '2222')).toEqual([
        [1, 1],
        [5, 7],
      ]);
      expect(lines.isUnread('1111', '2222')).toBe(false);
      expect(lines.isUnread('3333', '4444')).toBe(true);
      expect(lines.of('3333', '4444')).toEqual([]);
      expect(lines.of('unknown', '4444')).toEqual([]);
    }),
  );
});
