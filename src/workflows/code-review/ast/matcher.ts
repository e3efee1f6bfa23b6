import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Finding } from '../analysis.ts';
import type { SourceFile } from './match.ts';

export type MatchWork = Readonly<{ rulesDirectory: string; files: readonly SourceFile[] }>;

/** What the process writes: for each file its findings, or once why it cannot work. */
export type MatchReport = Readonly<{ findings: readonly Finding[] }> | Readonly<{ error: string }>;

/** In the order of the files; a text says why one could not be matched. */
export type Matched = readonly (readonly Finding[] | string)[];

export type MatchOptions = Readonly<{
  /** For one file; the first one has the start of the process besides. */
  fileMs: number;
  signal: AbortSignal;
  /** The program; by default the one beside this file. */
  program?: string;
}>;

/** The rules cannot be used: no file can be matched. */
export class MatcherError extends Error {
  override readonly name = 'MatcherError';
}

const START_MS = 10_000;
const MOST_CASUALTIES = 5;
/** From source, where Node 20 cannot run the program, the work is done in this process. */
const IS_SOURCE = import.meta.url.endsWith('.ts');

/** Matches files in a process of its own. A file that makes it crash or hang is named, and the rest goes on. */
export async function matchFiles(work: MatchWork, options: MatchOptions): Promise<Matched> {
  if (IS_SOURCE && options.program === undefined) return matchHere(work);
  const matched: (readonly Finding[] | string)[] = [];
  for (let casualties = 0; matched.length < work.files.length; casualties += 1) {
    const rest = work.files.slice(matched.length);
    if (casualties === MOST_CASUALTIES) {
      return [...matched, ...rest.map(() => 'too many files before it could not be analysed')];
    }
    const reason = await matchSome({ ...work, files: rest }, options, (findings) =>
      matched.push(findings),
    );
    if (reason !== null && matched.length < work.files.length) matched.push(reason);
  }
  return matched;
}

/** Until all files are matched, or one of them ends the process: then why. */
async function matchSome(
  work: MatchWork,
  { fileMs, signal, program = defaultProgram() }: MatchOptions,
  take: (findings: readonly Finding[]) => void,
): Promise<string | null> {
  const clock = new Deadline(START_MS + fileMs);
  const child = spawn(process.execPath, ['--max-old-space-size=256', program], {
    // It needs nothing of this process's environment.
    env: {},
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: AbortSignal.any([signal, clock.signal]),
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => undefined);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(JSON.stringify(work));
  let failure: string | null = null;
  for await (const line of createInterface({ input: child.stdout })) {
    const report = JSON.parse(line) as MatchReport;
    clock.set(fileMs);
    if ('error' in report) failure = report.error;
    else take(report.findings);
  }
  const exitCode = await ended;
  const isLate = clock.signal.aborted;
  clock.clear();
  signal.throwIfAborted();
  if (failure !== null) throw new MatcherError(failure);
  if (isLate) return `it took longer than ${String(fileMs / 1000)} seconds`;
  return exitCode === 0 ? null : 'the parser failed on it';
}

class Deadline {
  readonly #over = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(delayMs: number) {
    this.set(delayMs);
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  set(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#over.abort(), delayMs);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

async function matchHere({ rulesDirectory, files }: MatchWork): Promise<Matched> {
  const [{ loadRules }, { matchFile }] = await Promise.all([
    import('./rules.ts'),
    import('./match.ts'),
  ]);
  const rules = await loadRules(rulesDirectory).catch((error: unknown) => {
    throw new MatcherError(error instanceof Error ? error.message : String(error));
  });
  return files.map((file) => matchFile(file, rules));
}

const defaultProgram = (): string =>
  fileURLToPath(new URL('./matcher-process.js', import.meta.url));
