import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

/** The program as `npm run build` has made it; `npm test` and `npm run bench` do so first, in the project's folder. */
const PROGRAM = resolve('dist/cli/main.js');
export const SDK = pathToFileURL(resolve('dist/sdk/index.js')).href;

type Environment = Readonly<Record<string, string>>;
type LogLine = Readonly<{ msg: string; port?: number; level: number }>;

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A role as a process of its own. */
export class Role {
  readonly log: LogLine[] = [];
  output = '';
  private readonly waiting = new Set<() => void>();
  private readonly child: ChildProcess;
  readonly exited: Promise<number | null>;

  constructor(
    readonly name: string,
    { env, cwd }: Readonly<{ env: Environment; cwd: string }>,
  ) {
    this.child = spawn(process.execPath, [PROGRAM, name], {
      cwd,
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.child);
    this.exited = once(this.child, 'exit').then(([code]: unknown[]) => {
      running.delete(this.child);
      this.wake();
      return code as number | null;
    });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.log.push(parsed(line));
      this.wake();
    });
    this.child.stdout!.on('data', (text: Buffer) => {
      this.output += text.toString();
      this.wake();
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Resolves with the first line of the log whose message is this; rejects when the process ends without it. */
  async logged(message: string): Promise<LogLine> {
    return this.until(() => this.log.find(({ msg }) => msg === message), `logged "${message}"`);
  }

  /** Resolves when standard output holds the text. */
  async printed(text: string): Promise<string> {
    return this.until(() => (this.output.includes(text) ? this.output : undefined), `"${text}"`);
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Ends it as an orchestrator would; gives its exit code. */
  async stop(): Promise<number | null> {
    this.kill('SIGTERM');
    return this.exited;
  }

  private async until<T>(find: () => T | undefined, what: string): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (!running.has(this.child)) {
        throw new Error(
          `${this.name} ended before ${what}:\n${this.log.map(({ msg }) => msg).join('\n')}`,
        );
      }
      await new Promise<void>((wake) => this.waiting.add(wake));
    }
  }

  private wake(): void {
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }
}

function parsed(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: line, level: 0 };
  }
}

export type Ran = Readonly<{ code: number; stdout: string; stderr: string }>;

/** Runs a command of the program to its end. */
export function run(
  args: readonly string[],
  { env, cwd }: Readonly<{ env: Environment; cwd: string }>,
): Promise<Ran> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [PROGRAM, ...args],
      { cwd, env: { PATH: process.env['PATH'] ?? '', ...env }, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        done({ code, stdout, stderr });
      },
    );
  });
}
