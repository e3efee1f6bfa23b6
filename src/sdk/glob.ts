/**
 * Whether a pattern fits the whole path: `*` and `?` stand for characters of one segment, a segment `**` for any number
 * of segments, also none; a pattern that ends with `/` stands for all below it. Everything else is itself.
 *
 * The paths come from whoever may push, so it takes no longer than the pattern's length times the path's, which no
 * regular expression with several wildcards promises.
 */
export function fitsGlob(pattern: string, path: string): boolean {
  const whole = pattern.endsWith('/') ? `${pattern}**` : pattern;
  return fits(whole.split('/'), path.split('/'), {
    isMany: (segment) => segment === '**',
    fitsOne: fitsSegment,
  });
}

const fitsSegment = (pattern: string, segment: string): boolean =>
  fits(Array.from(pattern), Array.from(segment), {
    isMany: (character) => character === '*',
    fitsOne: (wanted, character) => wanted === '?' || wanted === character,
  });

/** Goes back to the last wildcard only: an earlier one could not take what that one cannot. */
function fits(
  pattern: readonly string[],
  text: readonly string[],
  is: Readonly<{
    isMany: (part: string) => boolean;
    fitsOne: (part: string, given: string) => boolean;
  }>,
): boolean {
  let at = 0;
  let place = 0;
  let many = -1;
  let retry = 0;
  while (place < text.length) {
    const part = pattern[at];
    if (part !== undefined && is.isMany(part)) {
      many = at;
      at += 1;
      retry = place;
    } else if (part !== undefined && is.fitsOne(part, text[place] ?? '')) {
      at += 1;
      place += 1;
    } else if (many !== -1) {
      retry += 1;
      at = many + 1;
      place = retry;
    } else return false;
  }
  return pattern.slice(at).every(is.isMany);
}
