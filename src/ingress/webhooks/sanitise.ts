import { Unmappable } from './provider.ts';

const LONGEST = {
  title: 1024,
  login: 255,
  url: 2048,
  ref: 512,
  fullName: 512,
  label: 255,
} as const;

/** U+0000 and halves of surrogate pairs, which no text column of Postgres takes. */
const UNSTORABLE = /[\0\p{Surrogate}]/gu;

/** Text that is safe to store, cut to a length without splitting a character; null when it is no text. */
export function text(value: unknown, longest: number): string | null {
  if (typeof value !== 'string') return null;
  return value.slice(0, longest).replace(UNSTORABLE, '\uFFFD');
}

export const title = (value: unknown): string | null => text(value, LONGEST.title);

export const login = (value: unknown): string | null => text(value, LONGEST.login) || null;

const MAX_LABELS = 100;

/** The labels of a pull request by their names, and whether it is a draft, each where the payload says so. */
export function labelsAndDraft(
  labels: unknown,
  nameOf: (label: unknown) => unknown,
  draft: unknown,
): Readonly<{ labels?: readonly string[]; draft?: boolean }> {
  const names = Array.isArray(labels)
    ? labels.slice(0, MAX_LABELS).flatMap((label) => text(nameOf(label), LONGEST.label) ?? [])
    : null;
  return {
    ...(names === null ? {} : { labels: names }),
    ...(typeof draft === 'boolean' ? { draft } : {}),
  };
}

/** The number of a pull request, as the host counts them. */
export function pullRequestNumber(value: unknown): number {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 2_147_483_647) {
    return Number(value);
  }
  throw new Unmappable('The number of the pull request is not a positive whole number');
}

/** A full commit id in lower case, of SHA-1 or SHA-256. Nothing and all zeros are null. */
export function sha(value: unknown, what: string): string | null {
  return hash(value, what, /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
}

/** A commit id that the host may have abbreviated. */
export function shortSha(value: unknown, what: string): string | null {
  return hash(value, what, /^[0-9a-f]{7,64}$/);
}

function hash(value: unknown, what: string, format: RegExp): string | null {
  if (value === undefined || value === null || value === '') return null;
  if (typeof value !== 'string' || !format.test(value)) {
    throw new Unmappable(`${what} is not a commit id`);
  }
  return /^0+$/.test(value) ? null : value;
}

// The rules of `git check-ref-format --branch`.
const BAD_REF =
  /^[-/]|^@$|[\p{Cc} ~^:?*[\\\p{Surrogate}]|\.\.|\/\/|@\{|(?:^|\/)\.|\.lock(?:\/|$)|[./]$/u;

/** A short name of a branch or tag that git itself would take. */
export function refName(value: unknown, what: string): string {
  if (
    typeof value !== 'string' ||
    value === '' ||
    value.length > LONGEST.ref ||
    BAD_REF.test(value)
  ) {
    throw new Unmappable(`${what} is not a name that git allows for a branch or tag`);
  }
  return value;
}

export function optionalRefName(value: unknown, what: string): string | null {
  return value === undefined || value === null || value === '' ? null : refName(value, what);
}

/** What a full ref names: `refs/heads/x` a branch, `refs/tags/x` a tag; null for any other namespace. */
export function fullRef(
  value: unknown,
  what: string,
): Readonly<{ kind: 'branch' | 'tag'; name: string }> | null {
  const [, namespace, rest] =
    typeof value === 'string' ? (/^refs\/(heads|tags)\/(.*)$/s.exec(value) ?? []) : [];
  if (namespace !== undefined) {
    return { kind: namespace === 'heads' ? 'branch' : 'tag', name: refName(rest, what) };
  }
  refName(value, what);
  return null;
}

const BAD_NAME = /[\p{Cc}\\\p{Surrogate}]|(?:^|\/)(?:\.{0,2}(?:\/|$)|-)/u;

/** A repository's name with its owner or groups: at least two segments, none of which climbs or is an option. */
export function fullName(value: unknown): string {
  if (
    typeof value !== 'string' ||
    value.length > LONGEST.fullName ||
    !value.includes('/') ||
    BAD_NAME.test(value)
  ) {
    throw new Unmappable('The name of the repository is not of the form owner/name');
  }
  return value;
}

const ACTION = /^[a-z][\w.:-]{0,63}$/i;

export function actionName(value: unknown): string {
  if (typeof value === 'string' && ACTION.test(value)) return value;
  throw new Unmappable('The action is not a plain word');
}

/** A link for people. */
export function webUrl(value: unknown): string | null {
  return url(value, ['https:', 'http:']);
}

/**
 * A URL that git could clone from, without user information. Other schemes (`ext::`, `ssh:`) and
 * link-local hosts, where clouds keep credentials, are dropped: no Git host clones from them.
 */
export function cloneUrl(value: unknown): string | null {
  return url(value, ['https:', 'http:', 'file:']);
}

const LINK_LOCAL = /^(?:169\.254\.|\[fe[89ab]|\[::(?:ffff:)?a9fe:)/;

/**
 * What parsing would give back as it is: a host that ends in a name, no user, no port, and a path of which no segment is
 * dots or encoded. Most are like that, and parsing costs fifty times as much.
 */
const PLAIN_URL =
  /^https:\/\/(?:(?!xn--)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?!xn--)[a-z]{2,}\/(?:[\w~-][\w.~-]*(?:\/|$))*$/;

function url(value: unknown, protocols: readonly string[]): string | null {
  if (typeof value !== 'string' || value.length > LONGEST.url) return null;
  if (PLAIN_URL.test(value)) return value;
  if (!URL.canParse(value)) return null;
  const parsed = new URL(value);
  if (!protocols.includes(parsed.protocol) || LINK_LOCAL.test(parsed.hostname)) return null;
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}
