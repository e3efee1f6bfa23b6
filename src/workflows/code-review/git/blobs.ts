import type { Git } from './run.ts';

export type Blob = Readonly<{ content: Buffer } | { missing: 'gone' | 'too-large' }>;

/** Reads contents by their ids, in the same order; one that is larger than so many bytes is not read. */
export async function readBlobs(
  git: Git,
  ids: readonly string[],
  maxBytes: number,
): Promise<readonly Blob[]> {
  if (ids.length === 0) return [];
  let sizes = await sizesOf(git, ids);
  const absent = ids.filter((_, index) => sizes[index] === null);
  if (absent.length > 0) {
    await git(['fetch', ...FETCH, '--', 'origin', ...absent]);
    sizes = await sizesOf(git, ids);
  }
  const wanted = ids.filter((_, index) => (sizes[index] ?? Infinity) <= maxBytes);
  const total = wanted.length * (maxBytes + 200);
  const output =
    wanted.length === 0
      ? Buffer.alloc(0)
      : await git(['cat-file', '--batch'], {
          input: lines(wanted),
          maxOutputBytes: total,
          isLocal: true,
        });
  const contents = parseBatch(output);
  let next = 0;
  return ids.map((_, index) => {
    const size = sizes[index];
    if (size === null || size === undefined) return { missing: 'gone' };
    if (size > maxBytes) return { missing: 'too-large' };
    const content = contents[next];
    next += 1;
    return content ? { content } : { missing: 'gone' };
  });
}

const FETCH = ['--quiet', '--no-tags', '--no-write-fetch-head'];

const sizesOf = async (git: Git, ids: readonly string[]): Promise<readonly (number | null)[]> =>
  parseSizes(await git(['cat-file', '--batch-check'], { input: lines(ids), isLocal: true }));

const lines = (ids: readonly string[]): string => `${ids.join('\n')}\n`;

/** `<id> blob <size>`, or `<id> missing`; what is no blob counts as missing. */
const parseSizes = (output: Buffer): readonly (number | null)[] =>
  output
    .toString('latin1')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const size = /^[0-9a-f]+ blob (\d+)$/.exec(line)?.[1];
      return size === undefined ? null : Number(size);
    });

function parseBatch(output: Buffer): readonly Buffer[] {
  const contents: Buffer[] = [];
  for (let at = 0; at < output.length;) {
    const end = output.indexOf(10, at);
    const header = output.toString('latin1', at, end === -1 ? output.length : end);
    const size = /^[0-9a-f]+ blob (\d+)$/.exec(header)?.[1];
    if (size === undefined || end === -1) throw new Error(`git cat-file answered "${header}"`);
    contents.push(output.subarray(end + 1, end + 1 + Number(size)));
    at = end + 1 + Number(size) + 1;
  }
  return contents;
}
