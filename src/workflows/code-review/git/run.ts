import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

/** Git ended with another code than zero. */
export class GitFailed extends Error {
  override readonly name = 'GitFailed';

  constructor(
    readonly command: string,
    readonly exitCode: number | null,
    /** The end of what it wrote to standard error, in English. */
    readonly stderr: string,
  ) {
    super(`git ${command} failed (${String(exitCode)}): ${stderr.trim()}`);
  }
}

/** Git wrote more to standard output than the caller takes. */
export class TooMuchOutput extends Error {
  override readonly name = 'TooMuchOutput';
}

export type GitInput = Readonly<{
  /** Written to standard input. */
  input?: string | Buffer;
  /** Gets the output instead of the result. */
  onOutput?: (chunk: Buffer) => void;
  maxOutputBytes?: number;
  /** Git knows no remote: an object that is not there is missing, and not fetched. */
  isLocal?: boolean;
}>;

/** Runs one git command in one repository. Nothing in it is a shell's, a hook's or the user's. */
export type Git = (args: readonly string[], io?: GitInput) => Promise<Buffer>;

export type GitProcess = Readonly<{
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  signal: AbortSignal;
}>;

const STDERR_BYTES = 16_384;
const KILL_AFTER_MS = 1000;

/** Resolves with standard output. When `signal` aborts, the whole process group ends and its reason is thrown. */
export async function runGit(git: GitProcess, io: GitInput = {}): Promise<Buffer> {
  const { signal } = git;
  signal.throwIfAborted();
  const child = spawn('git', git.args, {
    cwd: git.cwd,
    env: git.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // Its own process group, so that what git starts ends with it.
    detached: true,
  });
  let hasEnded = false;
  const stop = (): void => void endGroup(child.pid, () => hasEnded);
  signal.addEventListener('abort', stop, { once: true });
  const output = collect(io, stop);
  let stderr = '';
  child.stdout.on('data', output.take);
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-STDERR_BYTES);
  });
  // A command that fails early closes its input; its exit code tells.
  child.stdin.on('error', () => undefined);
  child.stdin.end(io.input);
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (error) => reject(notStarted(error)));
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    if (output.isTooMuch()) throw new TooMuchOutput(`git ${commandOf(git.args)} wrote too much`);
    if (exitCode !== 0) throw new GitFailed(commandOf(git.args), exitCode, stderr);
    return output.all();
  } finally {
    hasEnded = true;
    signal.removeEventListener('abort', stop);
  }
}

const notStarted = (error: Error): Error =>
  'code' in error && error.code === 'ENOENT'
    ? new Error('There is no git in PATH: install git 2.32 or newer where the worker runs')
    : error;

type Collected = Readonly<{
  take: (chunk: Buffer) => void;
  isTooMuch: () => boolean;
  all: () => Buffer;
}>;

function collect({ onOutput, maxOutputBytes = 1_048_576 }: GitInput, stop: () => void): Collected {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    take(chunk) {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) stop();
      else if (onOutput) onOutput(chunk);
      else chunks.push(chunk);
    },
    isTooMuch: () => bytes > maxOutputBytes,
    all: () => Buffer.concat(chunks),
  };
}

/** Git removes its temporary files when it is asked to end; what does not end is killed. */
async function endGroup(pid: number | undefined, hasEnded: () => boolean): Promise<void> {
  if (pid === undefined) return;
  sendSignal(pid, 'SIGTERM');
  await delay(KILL_AFTER_MS, undefined, { ref: false });
  if (!hasEnded()) sendSignal(pid, 'SIGKILL');
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // The group has ended already.
  }
}

const commandOf = (args: readonly string[]): string =>
  args.find((arg, index) => /^[a-z]/.test(arg) && args[index - 1] !== '-c') ?? 'git';
