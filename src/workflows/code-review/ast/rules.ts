import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

import type { Severity } from '../analysis.ts';
import { appliesTo, isLanguage } from '../languages.ts';
import { compileError } from './match.ts';
import type { Matcher, Rule } from './rule.ts';

const SEVERITIES: readonly unknown[] = ['error', 'warning', 'info', 'hint'] satisfies Severity[];

/** What `ast-grep` reads too and this program has no use for. */
const IGNORED = ['note', 'url', 'metadata', 'fix', 'labels'];
const MATCHING = ['rule', 'constraints', 'utils'];
const KNOWN = new Set([...IGNORED, ...MATCHING, 'id', 'language', 'severity', 'message']);

/** Rules that cannot be used, each with its file. */
class RuleError extends Error {
  override readonly name = 'RuleError';
}

/**
 * Reads all rules of a folder, in the order of their files. Each is plain ast-grep YAML, and compiles for every
 * language that it applies to; a rule whose severity is `off` is left out. Throws RuleError with every mistake.
 */
export async function loadRules(folder: string): Promise<readonly Rule[]> {
  const names = (await readdir(folder).catch(() => null))?.filter((name) => /\.ya?ml$/.test(name));
  if (names === undefined || names.length === 0) {
    throw new RuleError(`There are no rules in ${folder}: it needs at least one .yml file`);
  }
  const texts = await Promise.all(
    names
      .toSorted()
      .map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })),
  );
  const rules = new Map<string, Rule>();
  const mistakes: string[] = [];
  for (const { name, document } of texts.flatMap(documentsOf)) {
    try {
      const rule = parseRule(document);
      if (rules.has(rule.id)) throw new RuleError(`the id "${rule.id}" is used twice`);
      rules.set(rule.id, rule);
    } catch (error) {
      mistakes.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (mistakes.length > 0) {
    throw new RuleError(`Rules in ${folder} cannot be used:\n- ${mistakes.join('\n- ')}`);
  }
  return [...rules.values()].filter(({ languages }) => languages.length > 0);
}

type Document = Readonly<{ name: string; document: () => unknown }>;

function documentsOf({ name, text }: Readonly<{ name: string; text: string }>): Document[] {
  return [...parseAllDocuments(text)].map((parsed) => ({
    name,
    document: (): unknown => {
      const [error] = parsed.errors;
      if (error) throw new RuleError(error.message);
      return parsed.toJS({ maxAliasCount: 100 }) as unknown;
    },
  }));
}

function parseRule(document: () => unknown): Rule {
  const value = document();
  if (!isRecord(value)) throw new RuleError('it is not a mapping with id, language, message, rule');
  const { id, language, severity = 'hint', message } = value;
  if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9-]{0,79}$/.test(id)) {
    throw new RuleError('its id is not 1 to 80 lower case letters, digits and hyphens');
  }
  const mistake = mistakeIn(value);
  if (mistake !== null) throw new RuleError(`rule "${id}": ${mistake}`);
  const matcher = matcherOf(value);
  const isOff = severity === 'off';
  const languages = isLanguage(language) && !isOff ? appliesTo[language] : [];
  for (const each of languages) {
    const error = compileError(each, matcher);
    if (error !== null) throw new RuleError(`rule "${id}" does not compile for ${each}: ${error}`);
  }
  return { id, languages, severity: severity as Severity, message: String(message), matcher };
}

function mistakeIn(value: Readonly<Record<string, unknown>>): string | null {
  const { language, severity = 'hint', message, rule } = value;
  const unknown = Object.keys(value).filter((key) => !KNOWN.has(key));
  if (unknown.length > 0) return `${unknown.join(', ')} is not supported here`;
  if (!isLanguage(language)) {
    return `language is ${JSON.stringify(language)}, not one of ${Object.keys(appliesTo).join(', ')}`;
  }
  if (severity !== 'off' && !SEVERITIES.includes(severity)) {
    return `severity is ${JSON.stringify(severity)}, not one of ${SEVERITIES.join(', ')}, off`;
  }
  if (typeof message !== 'string' || message.trim() === '') return 'it has no message';
  return isRecord(rule) ? null : 'rule is not a mapping';
}

const matcherOf = (value: Readonly<Record<string, unknown>>): Matcher =>
  Object.fromEntries(
    MATCHING.filter((key) => value[key] !== undefined).map((key) => [key, value[key]]),
  ) as unknown as Matcher;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
