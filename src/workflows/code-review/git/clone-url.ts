import { fileURLToPath } from 'node:url';

/** A URL that both this program and git read in the same way. */
export type CloneUrl = Readonly<{
  /** As git gets it. */
  href: string;
  protocol: 'file' | 'http' | 'https';
  /** Scheme, host and port. */
  origin: string;
  /** The path's parts, still encoded. */
  segments: readonly string[];
  /** The folder of a `file` URL. */
  path: string | null;
}>;

const PROTOCOLS = { 'file:': 'file', 'http:': 'http', 'https:': 'https' } as const;

/** What WHATWG's URL drops or rewrites in silence, and what git might read in another way. */
const MISREAD: readonly (readonly [RegExp, string])[] = [
  [/[\p{Cc} \\]/u, 'it has a space, a control character or a backslash'],
  [/^[a-z]+:\/\/[^/]*@/i, 'it has user information'],
  [/^https?:\/\/\//i, 'it names no host'],
  [/[?#]/, 'it has a query or a fragment'],
  [/%(?![0-9a-f]{2})/i, 'it has a broken percent encoding'],
  [/%(?:2f|5c|7f|[01][0-9a-f])/i, 'it encodes a slash, a backslash or a control character'],
  [/\/(?:\.|%2e){1,2}(?:\/|$)/i, 'it has a "." or ".." part'],
  [/^[a-z]+:\/\/[^/]*\/(?:.*\/)?\//i, 'it has an empty part'],
];

/** Returns the reason when the text is no URL of a repository. */
export function parseCloneUrl(text: string): CloneUrl | string {
  if (text.length > 2000) return 'it is longer than 2000 characters';
  const scheme = /^(https?|file):\/\//i.exec(text);
  if (!scheme) return 'it begins with none of https://, http:// and file://';
  const misread = MISREAD.find(([pattern]) => pattern.test(text));
  if (misread) return misread[1];
  if (!URL.canParse(text)) return 'it is not a URL';
  return fromUrl(new URL(text));
}

function fromUrl(url: URL): CloneUrl | string {
  const protocol = PROTOCOLS[url.protocol as keyof typeof PROTOCOLS];
  if (protocol === 'file' && url.host !== '') return 'a file:// URL has no host';
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  try {
    for (const segment of segments) decodeURIComponent(segment);
  } catch {
    return 'its path is not UTF-8';
  }
  return {
    href: `${protocol}://${url.host}/${segments.join('/')}`,
    protocol,
    origin: `${protocol}://${url.host}`,
    segments,
    path: protocol === 'file' ? fileURLToPath(`file:///${segments.join('/')}`) : null,
  };
}

/** For messages: without user information, cut, and in one line. */
export function printable(url: string): string {
  return url
    .replace(/\/\/[^/]*@/, '//…@')
    .replace(/[\p{Cc} ]+/gu, ' ')
    .slice(0, 200);
}
