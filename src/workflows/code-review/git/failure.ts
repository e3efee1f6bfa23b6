import { NonRetriable, RetryAfter } from '../../../sdk/index.ts';
import type { CloneUrl } from './clone-url.ts';
import { GitFailed, TooMuchOutput } from './run.ts';

/** The server does not give a commit that was asked for by its id. */
export const isUnknownCommit = (error: unknown): boolean =>
  error instanceof GitFailed &&
  /not our ref|unadvertised object|couldn't find remote ref|no such remote ref/i.test(error.stderr);

const OF_THE_NETWORK =
  /unable to access|RPC failed|early EOF|hung up|disconnect|remote error|protocol error|expected flush/i;

/** What is said of neither the server nor the way to it is probably said of the cached copy: begin anew. */
export const isOfTheCopy = (error: unknown): boolean =>
  error instanceof GitFailed &&
  !isUnknownCommit(error) &&
  !isNotThere(error) &&
  !OF_THE_NETWORK.test(error.stderr);

type Explanation = Readonly<{ pattern: RegExp; explain: (url: string) => Error }>;

const permanent =
  (reason: string): Explanation['explain'] =>
  (url) =>
    new NonRetriable(`Repository ${url} ${reason}`);

/** Tried in this order; what matches none may pass by itself, so it is tried again. */
const EXPLANATIONS: readonly Explanation[] = [
  {
    pattern: /returned error: 429/,
    explain: (url) => new RetryAfter(`The host of ${url} limits the rate of requests`, 60_000),
  },
  {
    pattern: /returned error: 30\d|unable to update url base from redirection/,
    explain: permanent(
      'answers with a redirect, and redirects are not followed: send its new address, and allow that in CLONE_ALLOW',
    ),
  },
  {
    pattern:
      /returned error: (?:401|403|407)|could not read Username|terminal prompts disabled|Authentication failed/,
    explain: permanent(
      'does not exist or is not public. code-review sends no credentials: check the clone URL, or mirror it where CLONE_ALLOW lets it be fetched',
    ),
  },
  {
    pattern:
      /returned error: (?:404|410)|repository '.*' not found|does not appear to be a git repository/i,
    explain: permanent('does not exist: check the clone URL'),
  },
  { pattern: /returned error: 4\d\d/, explain: permanent('was refused by its host') },
  {
    pattern: /dubious ownership/,
    explain: permanent('belongs to another user, and git does not trust it'),
  },
  {
    pattern: /transport '.*' not allowed/,
    explain: permanent('needs a protocol that is not allowed'),
  },
  {
    pattern:
      /not valid: is this a git repository|dumb http transport|protocol error: bad line length/,
    explain: permanent('is not served by git: check the clone URL'),
  },
  {
    pattern: /mismatched algorithms|unsupported object format/,
    explain: permanent('uses another hash than its commit ids tell'),
  },
];

/** Turns what git said into an error that says what to do, and whether to try again. */
export function explained(error: unknown, url: CloneUrl): unknown {
  if (error instanceof TooMuchOutput) {
    return new NonRetriable(`Repository ${url.href}: this change is too large to review`);
  }
  if (!(error instanceof GitFailed)) return error;
  const known = EXPLANATIONS.find(({ pattern }) => pattern.test(error.stderr));
  if (known) return known.explain(url.href);
  return new Error(`Repository ${url.href} could not be fetched: ${reasonOf(error.stderr)}`, {
    cause: error,
  });
}

/** The repository is not there, or not for us. */
export const isNotThere = (error: unknown): boolean =>
  error instanceof GitFailed &&
  EXPLANATIONS.some(
    ({ pattern, explain }) => pattern.test(error.stderr) && explain('') instanceof NonRetriable,
  );

function reasonOf(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const line =
    lines.find((text) => text.startsWith('fatal:')) ?? lines.find((text) => text !== '') ?? '';
  return line.replace(/^(?:fatal|error): /, '').slice(0, 300) || 'git gave no reason';
}
