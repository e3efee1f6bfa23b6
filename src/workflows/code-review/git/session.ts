import { devNull } from 'node:os';
import { dirname, join } from 'node:path';
import { writeFile } from 'node:fs/promises';

import type { Settings } from '../options.ts';
import type { CloneUrl } from './clone-url.ts';
import { type Git, runGit } from './run.ts';

/** The remotes of a cached repository, by name: `origin` is what the job names, `fork` is where its head may be. */
export type Remotes = Readonly<{ origin: CloneUrl; fork?: CloneUrl }>;

export type GitSession = Readonly<{
  gitDir: string;
  remotes: Remotes;
  settings: Settings;
  signal: AbortSignal;
}>;

/** Git on one repository, with no configuration but this one; what it starts by itself inherits all of it. */
export async function gitFor(session: GitSession): Promise<Git> {
  const { gitDir, remotes, settings, signal } = session;
  const env = {
    ...localEnvironment(settings),
    GIT_DIR: gitDir,
    GIT_CONFIG_GLOBAL: await globalConfig(gitDir, remotes),
    GIT_ALLOW_PROTOCOL: Object.values(remotes)
      .map(({ protocol }) => protocol)
      .join(':'),
  };
  const local = withOptions(configuration(settings));
  const withRemotes = [...local, ...withOptions(remoteConfiguration(remotes))];
  return (args, io) => {
    const options = io?.isLocal === true ? local : withRemotes;
    return runGit({ args: [...options, ...args], env, cwd: dirname(gitDir), signal }, io);
  };
}

/** Without the user's and the machine's configuration and credentials, in English, and asking nobody. */
export const localEnvironment = ({
  gitEnvironment,
}: Settings): Readonly<Record<string, string>> => ({
  ...gitEnvironment,
  LC_ALL: 'C',
  // Where curl looks for .netrc, and git for attributes.
  HOME: devNull,
  XDG_CONFIG_HOME: devNull,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: devNull,
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  SSH_ASKPASS: '',
  GIT_PROTOCOL_FROM_USER: '0',
  GIT_ALLOW_PROTOCOL: '',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_OPTIONAL_LOCKS: '0',
});

const withOptions = (lines: readonly string[]): readonly string[] =>
  lines.flatMap((line) => ['-c', line]);

function configuration({ limits }: Settings): readonly string[] {
  return [
    `core.hooksPath=${devNull}`,
    `core.attributesFile=${devNull}`,
    'core.fsmonitor=false',
    // Larger files are compared as binary ones, and never held in memory as a whole.
    `core.bigFileThreshold=${String(limits.fileBytes)}`,
    'credential.helper=',
    'http.followRedirects=false',
    'http.lowSpeedLimit=100',
    `http.lowSpeedTime=${String(limits.stalledSeconds)}`,
    'fetch.unpackLimit=1',
    'fetch.recurseSubmodules=false',
    'gc.auto=0',
    'maintenance.auto=false',
    'pack.threads=1',
  ];
}

/**
 * With these, git fetches no contents of files, and an object that it misses from where the rest came from. They are
 * never in the repository's own configuration: without them, it knows no remote.
 */
const remoteConfiguration = (remotes: Remotes): readonly string[] =>
  Object.entries(remotes).flatMap(([name, { href }]) => [
    `remote.${name}.url=${href}`,
    `remote.${name}.promisor=true`,
    `remote.${name}.partialclonefilter=blob:none`,
  ]);

/**
 * A `file` URL may lead to another user's folder, which git opens only when its global configuration trusts it.
 * The program that git starts to read it reads the same file, so any commit can be asked for by its id.
 */
async function globalConfig(gitDir: string, remotes: Remotes): Promise<string> {
  const paths = Object.values(remotes).flatMap(({ path }) => (path === null ? [] : [path]));
  if (paths.length === 0) return devNull;
  const lines = paths.flatMap((path) =>
    [path, `${path}/.git`, `${path}.git`].map((directory) => `\tdirectory = ${quoted(directory)}`),
  );
  const file = join(gitDir, 'jobledger-global-config');
  const text = `[safe]\n${lines.join('\n')}\n[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n`;
  await writeFile(file, text);
  return file;
}

const quoted = (value: string): string => `"${value.replace(/["\\]/g, String.raw`\$&`)}"`;
