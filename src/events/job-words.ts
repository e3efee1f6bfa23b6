import type { JobView } from './job-view.ts';

const MOST_WORDS = 200;
const LONGEST_WORD = 100;

/** A name that is sealed says nothing to anyone who searches. */
const SEALED = /sealed:\S+/g;

/** The words that a job is found by: of its repository, title, ref, sender and error, and its id and sha as they are. */
export function jobWords({ id, trigger, error }: JobView): readonly string[] {
  const { repository, pullRequest, ref, sender, headSha } = trigger;
  const texts = [repository?.fullName, pullRequest?.title, ref, sender, error?.message];
  const words = new Set([id, headSha ?? ''].map(whole));
  for (const text of texts) for (const word of wordsOf(text ?? '')) words.add(word);
  words.delete('');
  return [...words].slice(0, MOST_WORDS);
}

/** One word of a search: what is written without a space. `octo/repo` is found as it is, or as its two parts. */
export type SearchTerm = Readonly<{ whole: string; parts: readonly string[] }>;

/** What is searched for: up to ten terms; punctuation alone is none. */
export const searchTerms = (search: string | null | undefined): readonly SearchTerm[] =>
  (search ?? '')
    .split(/\s+/)
    .map((term) => ({ whole: whole(term), parts: wordsOf(term) }))
    .filter(({ parts }) => parts.length > 0)
    .slice(0, 10);

/** Whether a word begins with the term, or for each of its parts some word does. */
export function isFound({ whole: term, parts }: SearchTerm, words: readonly string[]): boolean {
  const begins = (part: string): boolean => words.some((word) => word.startsWith(part));
  return begins(term) || parts.every(begins);
}

const whole = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[\s\0]/g, '')
    .slice(0, LONGEST_WORD);

const wordsOf = (text: string): readonly string[] =>
  (
    text
      .replaceAll(SEALED, ' ')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  ).map((word) => word.slice(0, LONGEST_WORD));
