import { resolve } from 'node:path';

import type { HostsAccess } from '../../hosts/host-access.ts';

/** What bounds the work on a repository that strangers can push to. */
export type Limits = Readonly<{
  /** For all of git's work in one step. */
  gitMs: number;
  /** After so many seconds without data, git gives a connection up. */
  stalledSeconds: number;
  /** The objects of one repository. A larger one is not reviewed. */
  repositoryBytes: number;
  /** What git may write about one change: a larger one is not reviewed. */
  diffBytes: number;
  /** All cached repositories; the ones that were used last stay. */
  cacheBytes: number;
  /** Changed files that are analysed; the result says how many were left out. */
  files: number;
  /** Stretches of added lines over all files. */
  ranges: number;
  /** A larger file is skipped. */
  fileBytes: number;
  /** A file with a longer line is skipped: somebody's program wrote it. */
  lineLength: number;
  /** For parsing and matching one file. */
  fileMs: number;
  findings: number;
  /** How long one request to the analyser waits for its answer. */
  answerMs: number;
}>;

export type CodeReviewOptions = Readonly<{
  /** Holds the cached repositories and the sample. Default `.jobledger`. */
  dataDir?: string;
  /** Prefixes of the clone URLs that may be fetched; null or absent: the providers' public hosts. */
  cloneAllow?: readonly string[] | null;
  /** A folder of ast-grep rules. Default: the ones that ship. */
  rulesDirectory?: string;
  /** What git gets of the environment: `PATH`, proxies, certificates. Nothing else reaches it. */
  gitEnvironment?: Readonly<Record<string, string>>;
  /** The hosts that reviews are reported to, by provider. Default: none. */
  reporting?: HostsAccess;
  limits?: Partial<Limits>;
}>;

export type Settings = Readonly<{
  dataDir: string;
  cloneAllow: readonly string[] | null;
  rulesDirectory: string | null;
  gitEnvironment: Readonly<Record<string, string>>;
  reporting: HostsAccess;
  limits: Limits;
}>;

const MIB = 1024 * 1024;

const DEFAULT_LIMITS: Limits = {
  gitMs: 120_000,
  stalledSeconds: 20,
  repositoryBytes: 1024 * MIB,
  diffBytes: 512 * MIB,
  cacheBytes: 4096 * MIB,
  files: 300,
  ranges: 3000,
  fileBytes: MIB / 2,
  lineLength: 5000,
  fileMs: 10_000,
  findings: 500,
  answerMs: 300_000,
};

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin';

export function settingsOf(options: CodeReviewOptions): Settings {
  return {
    dataDir: resolve(options.dataDir ?? '.jobledger'),
    cloneAllow: options.cloneAllow ?? null,
    rulesDirectory: options.rulesDirectory ?? null,
    gitEnvironment: { PATH: DEFAULT_PATH, ...options.gitEnvironment },
    reporting: options.reporting ?? {},
    limits: { ...DEFAULT_LIMITS, ...options.limits },
  };
}
