import { text } from 'node:stream/consumers';

import { matchFile } from './match.ts';
import { loadRules } from './rules.ts';
import type { MatchReport, MatchWork } from './matcher.ts';

/**
 * A process of its own for code that strangers wrote: whatever it does to the parser, this one ends and no other.
 * Reads its work from standard input and reports after each file, one JSON text a line.
 */
const work = JSON.parse(await text(process.stdin)) as MatchWork;
const report = (line: MatchReport): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

try {
  const rules = await loadRules(work.rulesDirectory);
  for (const file of work.files) report({ findings: matchFile(file, rules) });
} catch (error) {
  report({ error: error instanceof Error ? error.message : String(error) });
}
