import type { Classification, Failure } from '../events/job.ts';
import { isNonRetriable, isRetryAfter } from '../sdk/errors.ts';
import { MAX_DELAY_MS } from './waits.ts';

/** What the log keeps of a thrown thing. The stack is for the worker's own log. */
export type ClassifiedFailure = Readonly<{ error: Failure; retryAfterMs: number | null }>;

const MAX_NAME = 100;
const MAX_MESSAGE = 4_000;

export function classify(thrown: unknown): ClassifiedFailure {
  const { name, message } = describe(thrown);
  return {
    error: {
      name: cut(name, MAX_NAME),
      message: cut(message, MAX_MESSAGE),
      classification: classificationOf(thrown, name),
    },
    retryAfterMs: isRetryAfter(thrown) ? delayOf(thrown.delayMs) : null,
  };
}

const TIMEOUTS: ReadonlySet<string> = new Set(['AbortError', 'TimeoutError', 'ETIMEDOUT']);

function classificationOf(thrown: unknown, name: string): Classification {
  if (isNonRetriable(thrown)) return 'permanent';
  if (isRetryAfter(thrown)) return 'rate-limited';
  if (TIMEOUTS.has(name) || TIMEOUTS.has(codeOf(thrown))) return 'timeout';
  return 'transient';
}

/** Workflows may throw anything, also what says it is an Error and has no text. */
function describe(thrown: unknown): Readonly<{ name: string; message: string }> {
  if (thrown instanceof Error) {
    return { name: textOf(thrown.name, 'Error'), message: textOf(thrown.message, 'no message') };
  }
  return { name: 'Error', message: `A workflow threw ${shown(thrown)}: throw an Error` };
}

const textOf = (value: unknown, otherwise: string): string =>
  typeof value === 'string' && value !== '' ? value : otherwise;

function shown(thrown: unknown): string {
  if (typeof thrown === 'string') return JSON.stringify(thrown);
  if (typeof thrown === 'object' && thrown !== null) return 'an object';
  return String(thrown);
}

function codeOf(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return '';
  return typeof thrown.code === 'string' ? thrown.code : '';
}

const delayOf = (delayMs: number): number =>
  Number.isFinite(delayMs) ? Math.min(Math.max(Math.ceil(delayMs), 0), MAX_DELAY_MS) : 0;

/** Postgres keeps no NUL in text, and half of a surrogate pair is no text. */
export function cut(text: string, maxLength: number): string {
  const kept = text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
  return kept.replaceAll('\0', '').replaceAll(/\p{Surrogate}/gu, '\u{FFFD}');
}
