import { parse, type SgNode } from '@ast-grep/napi';

import type { Finding } from '../analysis.ts';
import type { Language } from '../languages.ts';
import type { LineRange } from '../git/hunks.ts';
import type { Matcher, Rule } from './rule.ts';

export type SourceFile = Readonly<{
  path: string;
  language: Language;
  text: string;
  added: readonly LineRange[];
}>;

/** Why the matcher cannot be used for a language; null when it can. */
export function compileError(language: Language, matcher: Matcher): string | null {
  try {
    parse(language, '').root().find(matcher);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(/\s*\n\s*/g, ' ') : String(error);
  }
}

/** What the rules find that begins on an added line, in the order of line, column and rule. */
export function matchFile(file: SourceFile, rules: readonly Rule[]): readonly Finding[] {
  const root = parse(file.language, file.text).root();
  const isIgnored = ignoredLines(file.text);
  const found = new Map<string, Finding>();
  for (const rule of rules.filter(({ languages }) => languages.includes(file.language))) {
    for (const node of root.findAll(rule.matcher)) {
      const { line, column } = node.range().start;
      if (!isAdded(line + 1, file.added) || isIgnored(line, rule.id)) continue;
      // A node and its only child begin at the same place and are one finding.
      const place = `${String(line)}:${String(column)}:${rule.id}`;
      if (!found.has(place)) found.set(place, findingOf(file, rule, node));
    }
  }
  return [...found.values()].toSorted(inOrder);
}

function findingOf({ path }: SourceFile, rule: Rule, node: SgNode): Finding {
  const { line, column } = node.range().start;
  return {
    file: path,
    line: line + 1,
    column: column + 1,
    rule: rule.id,
    severity: rule.severity,
    message: filledIn(rule.message, node),
  };
}

const MESSAGE_LENGTH = 500;
const CAPTURE_LENGTH = 80;

/** `$NAME` in a message stands for what the rule caught under that name. */
function filledIn(message: string, node: SgNode): string {
  const filled = message.replaceAll(/\$([A-Z_][A-Z0-9_]*)/g, (name, capture: string) => {
    const caught = node.getMatch(capture)?.text().replaceAll(/\s+/g, ' ');
    return caught === undefined ? name : cut(caught, CAPTURE_LENGTH);
  });
  return cut(filled.trim(), MESSAGE_LENGTH);
}

const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;

const isAdded = (line: number, added: readonly LineRange[]): boolean =>
  added.some(([from, to]) => from <= line && line <= to);

/** `// ast-grep-ignore` silences its own line and the next one; `ast-grep-ignore: a, b` only those rules. */
function ignoredLines(text: string): (line: number, rule: string) => boolean {
  if (!text.includes('ast-grep-ignore')) return () => false;
  const lines = text.split('\n');
  return (line, rule) =>
    [lines[line], lines[line - 1]].some((each) => {
      const comment = /ast-grep-ignore(?::\s*([\w\-, ]+))?/.exec(each ?? '');
      return comment !== null && (comment[1]?.split(/[\s,]+/).includes(rule) ?? true);
    });
}

/** The same on every machine: texts are compared by their code units. */
function inOrder(a: Finding, b: Finding): number {
  return (
    compare(a.file, b.file) || a.line - b.line || a.column - b.column || compare(a.rule, b.rule)
  );
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
