import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** A folder of its own, removed by `remove`. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'jobledger-review-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A repository with a working tree, as a developer has it. */
export class GitRepository {
  readonly cloneUrl: string;

  constructor(readonly path: string) {
    mkdirSync(path, { recursive: true });
    this.cloneUrl = pathToFileURL(path).href;
    this.git('init', '--quiet', '--initial-branch=main');
  }

  git(...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync('git', args, {
      cwd: this.path,
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_AUTHOR_NAME: 'Ada',
        GIT_AUTHOR_EMAIL: 'ada@example.com',
        GIT_COMMITTER_NAME: 'Ada',
        GIT_COMMITTER_EMAIL: 'ada@example.com',
      },
    });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  /** Writes the files (null removes one), commits everything, and gives the commit's id. */
  commit(files: Readonly<Record<string, string | Buffer | null>>): string {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.path, path);
      mkdirSync(dirname(file), { recursive: true });
      if (content === null) unlinkSync(file);
      else writeFileSync(file, content);
    }
    this.git('add', '--all');
    this.git('commit', '--quiet', '--allow-empty', '--message=change');
    return this.git('rev-parse', 'HEAD');
  }

  link(path: string, target: string): void {
    symlinkSync(target, join(this.path, path));
  }

  branch(name: string, from = 'HEAD'): void {
    this.git('checkout', '--quiet', '-B', name, from);
  }
}
