import type { Limits } from '../options.ts';
import { PATHSPECS } from '../languages.ts';
import type { Commits } from './fetch-commits.ts';
import { AddedLines, type LineRange } from './hunks.ts';
import type { Git } from './run.ts';

export type ChangedFile = Readonly<{
  /** At the head commit. */
  path: string;
  /** The id of its content, which needs no quoting. */
  blob: string;
  /** Inclusive, from 1, in order. */
  added: readonly LineRange[];
}>;

export type Changes = Readonly<{
  /** All that the change touches, also what no rule can read. */
  filesChanged: number;
  files: readonly ChangedFile[];
  /** Changed files that have no lines to analyse. */
  skipped: readonly Readonly<{ file: string; reason: string }>[];
  /** Files that could have been analysed and were left out, for there were too many. */
  filesLeftOut: number;
}>;

const PATH_LENGTH = 500;
const MOST_SKIPPED = 50;
const DIFF = [
  'diff',
  '--no-color',
  '--no-ext-diff',
  '--no-textconv',
  '--ignore-submodules=all',
  '--diff-filter=AMRCT',
  '-l200',
];

/** What changed between two commits that were fetched; git fetches the contents that it needs in one go. */
export async function changesBetween(
  git: Git,
  { base, head }: Commits,
  limits: Limits,
): Promise<Changes> {
  const commits = [base, head, '--'];
  const names = await git(
    ['diff', '--name-only', '-z', '--ignore-submodules=all', '-M100%', ...commits],
    { maxOutputBytes: limits.diffBytes },
  );
  const raw = await git([...DIFF, '-M', '--raw', '-z', '--no-abbrev', ...commits, ...PATHSPECS], {
    maxOutputBytes: limits.diffBytes,
  });
  const lines = new AddedLines();
  const patch = ['-M', '--patch', '--unified=0', '--full-index', '--no-prefix'];
  await git([...DIFF, ...patch, ...commits, ...PATHSPECS], {
    onOutput: (chunk) => lines.push(chunk),
    maxOutputBytes: limits.diffBytes,
  });
  const entries = parseRaw(raw);
  const files = entries.flatMap(({ oldBlob, blob, path }) => {
    const added = lines.of(oldBlob, blob);
    return added.length === 0 ? [] : [{ path, blob, added }];
  });
  const kept = within(files, limits);
  const reason = `it is binary, or larger than ${String(limits.fileBytes)} bytes`;
  return {
    filesChanged: countNul(names),
    files: kept,
    filesLeftOut: files.length - kept.length,
    skipped: entries
      .filter(({ oldBlob, blob }) => lines.isUnread(oldBlob, blob))
      .slice(0, MOST_SKIPPED)
      .map(({ path }) => ({ file: path.slice(0, PATH_LENGTH), reason })),
  };
}

type RawEntry = Readonly<{ oldBlob: string; blob: string; path: string }>;

/** `:<old mode> <mode> <old id> <id> <status>NUL<path>NUL`, and for a renamed file a second path. */
function parseRaw(raw: Buffer): readonly RawEntry[] {
  const fields = raw.toString('utf8').split('\0');
  const entries: RawEntry[] = [];
  for (let at = 0; at + 1 < fields.length;) {
    const [mode, oldBlob, blob, status] = parseModes(fields[at] ?? '');
    const length = /^[RC]/.test(status) ? 3 : 2;
    const path = fields[at + length - 1];
    // Links and submodules have other modes; a patch has a file that was one before as a new file.
    if (mode.startsWith('100') && path !== undefined) {
      const before = status === 'T' ? '0'.repeat(blob.length) : oldBlob;
      entries.push({ oldBlob: before, blob, path });
    }
    at += length;
  }
  return entries;
}

function parseModes(field: string): [mode: string, oldBlob: string, blob: string, status: string] {
  const [, mode, oldBlob, blob, status] = field.split(' ');
  if (mode !== undefined && oldBlob !== undefined && blob !== undefined && status !== undefined) {
    return [mode, oldBlob, blob, status];
  }
  throw new Error(`git diff --raw answered "${field.slice(0, 200)}"`);
}

/** The first ones by path, as many as the limits take. */
function within(files: readonly ChangedFile[], limits: Limits): readonly ChangedFile[] {
  let ranges = 0;
  return files
    .filter(({ path }) => path.length <= PATH_LENGTH)
    .filter(({ added }, index) => {
      ranges += added.length;
      return index < limits.files && ranges <= limits.ranges;
    });
}

function countNul(names: Buffer): number {
  let count = 0;
  for (let at = names.indexOf(0); at !== -1; at = names.indexOf(0, at + 1)) count += 1;
  return count;
}
