import { Refused } from './problem.ts';
import type { BodyFormat, Headers } from './provider.ts';

const FORMATS: Readonly<Record<string, BodyFormat>> = {
  'application/json': 'json',
  'application/x-www-form-urlencoded': 'form',
};

const UTF_8 = /^charset\s*=\s*("?)utf-?8\1$/;

/** How to read the body, from its headers. Refuses what the host never sends: other types, charsets and any coding. */
export function bodyFormat(headers: Headers, allowed: readonly BodyFormat[]): BodyFormat {
  assertNotCoded(headers);
  const [type = '', ...parameters] = (headers['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim().toLowerCase());
  const format = Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined;
  if (format === undefined || !allowed.includes(format)) {
    throw new Refused('unsupported-content', `Send the payload as ${typesOf(allowed)}`);
  }
  if (parameters.some((each) => /^charset\s*=/.test(each) && !UTF_8.test(each))) {
    throw new Refused('unsupported-content', 'Send the payload in UTF-8');
  }
  return format;
}

/** Inflating is how a small body becomes a large one, and no Git host compresses. */
function assertNotCoded(headers: Headers): void {
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const transfer = (headers['transfer-encoding'] ?? 'chunked').trim().toLowerCase();
  if (coding === 'identity' && transfer === 'chunked') return;
  throw new Refused(
    'unsupported-content',
    'Send the body as it is: compressed bodies are not taken',
    {
      'accept-encoding': 'identity',
    },
  );
}

const typesOf = (formats: readonly BodyFormat[]): string =>
  Object.entries(FORMATS)
    .filter(([, format]) => formats.includes(format))
    .map(([type]) => type)
    .join(' or ');
