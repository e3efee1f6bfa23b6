import type { AnalysisRequest } from './analysis-request.ts';
import type { SourceFile } from './ast/match.ts';
import { type AllowList, allowed } from './git/allow-list.ts';
import { type Blob, readBlobs } from './git/blobs.ts';
import { fetchCommit } from './git/fetch-commits.ts';
import { withRepository } from './git/repository-cache.ts';
import { languageOf } from './languages.ts';
import type { Limits, Settings } from './options.ts';

type Skipped = Readonly<{ file: string; reason: string }>;

export type Sources = Readonly<{
  files: readonly SourceFile[];
  skipped: readonly Skipped[];
}>;

export type Reading = Readonly<{ list: AllowList; settings: Settings; signal: AbortSignal }>;

/** Reads the files of a request at its head commit, from the cached repository or a new copy of it. */
export async function readSources(
  request: AnalysisRequest,
  { list, settings, signal }: Reading,
): Promise<Sources> {
  const { cloneUrl, forkUrl, headSha, headRefs } = request;
  const origin = await allowed(list, cloneUrl);
  const remotes = forkUrl === null ? { origin } : { origin, fork: await allowed(list, forkUrl) };
  const files = request.files.flatMap((file) => {
    const language = languageOf(file.path);
    return language === null ? [] : [{ ...file, language }];
  });
  const objectFormat = headSha.length === 64 ? 'sha256' : 'sha1';
  const blobs = await withRepository({ remotes, settings, objectFormat, signal }, async (git) => {
    const head = { id: headSha, refs: headRefs };
    await fetchCommit(git, head, { url: origin.href, hasFork: forkUrl !== null });
    return readBlobs(
      git,
      files.map(({ blob }) => blob),
      settings.limits.fileBytes,
    );
  });
  const sources: SourceFile[] = [];
  const skipped: Skipped[] = [];
  for (const [index, { path, language, added }] of files.entries()) {
    const read = textOf(blobs[index], settings.limits);
    if ('reason' in read) skipped.push({ file: path, reason: read.reason });
    else sources.push({ path, language, added, text: read.text });
  }
  return { files: sources, skipped };
}

function textOf(
  blob: Blob | undefined,
  { fileBytes, lineLength }: Limits,
): Readonly<{ text: string } | { reason: string }> {
  if (blob === undefined || 'missing' in blob) {
    return blob?.missing === 'too-large'
      ? { reason: `it is larger than ${String(fileBytes)} bytes` }
      : { reason: 'the repository no longer has it' };
  }
  const { content } = blob;
  if (content.includes(0)) return { reason: 'it is binary' };
  const text = content.toString('utf8');
  if (hasLongLine(text, lineLength)) {
    return { reason: `it has a line of more than ${String(lineLength)} characters` };
  }
  return { text };
}

function hasLongLine(text: string, lineLength: number): boolean {
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at);
    if ((end === -1 ? text.length : end) - at > lineLength) return true;
    if (end === -1) return false;
    at = end + 1;
  }
  return false;
}
