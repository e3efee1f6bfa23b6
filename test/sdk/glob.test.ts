import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fitsGlob } from '../../src/sdk/glob.ts';

test.each([
  ['a', 'a'],
  ['*', 'a'],
  ['*.ts', 'a.ts'],
  ['a?c', 'abc'],
  ['a?c', 'aäc'],
  ['a?c', 'a🎉c'],
  ['src/*', 'src/a'],
  ['src/*/b*', 'src/a/bc'],
  ['src/', 'src/a/b'],
  ['src/**', 'src/a/b'],
  ['**', 'a/b'],
  ['**/b', 'b'],
  ['**/b', 'a/a/b'],
  ['a/**/b', 'a/b'],
  ['a/**/b', 'a/b/x/b'],
  ['a/**/b/**/c', 'a/b/b/x/c'],
  ['*a*b*', 'xaxbx'],
  ['a.(b)[c]+{d}^$', 'a.(b)[c]+{d}^$'],
])('%s fits %s', (pattern, path) => {
  expect(fitsGlob(pattern, path)).toBe(true);
});

test.each([
  ['a', 'b'],
  ['a', 'a/b'],
  ['*', 'a/b'],
  ['a?c', 'a/c'],
  ['src/*', 'src/a/b'],
  ['src/**', 'srcs/a'],
  ['**/b', 'a/bc'],
  ['a/**/b', 'a/x'],
  ['a.ts', 'axts'],
  ['A', 'a'],
  ['', 'a'],
])('%s does not fit %s', (pattern, path) => {
  expect(fitsGlob(pattern, path)).toBe(false);
});

test('a path fits itself, and itself with any part replaced by a wildcard', () => {
  const segment = fc.stringMatching(/^[a-z.]{1,6}$/);
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), fc.nat(), (segments, place) => {
      const path = segments.join('/');
      const at = place % segments.length;
      expect(fitsGlob(path, path)).toBe(true);
      expect(fitsGlob(segments.with(at, '*').join('/'), path)).toBe(true);
      expect(fitsGlob([...segments.slice(0, at), '**'].join('/'), path)).toBe(true);
    }),
  );
});

test('a hostile path costs no more than its length times the pattern', () => {
  const began = performance.now();
  expect(fitsGlob(`${'*a'.repeat(50)}b`, 'a'.repeat(1024))).toBe(false);
  expect(fitsGlob(`${'**/a/'.repeat(50)}b`, 'a/'.repeat(500))).toBe(false);
  // A regular expression would need longer than the world has been there.
  expect(performance.now() - began).toBeLessThan(5_000);
});
