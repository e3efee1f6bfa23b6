import { fileURLToPath } from 'node:url';

import { z } from 'zod';

import { type JsonValue, NonRetriable } from '../../sdk/index.ts';
import type { Analysis, Answer, Finding } from './analysis.ts';
import { AnalysisRequest } from './analysis-request.ts';
import { type MatchOptions, MatcherError, matchFiles } from './ast/matcher.ts';
import { allowListOf } from './git/allow-list.ts';
import { type CodeReviewOptions, settingsOf } from './options.ts';
import { readSources, type Sources } from './read-sources.ts';

export type AnalyserOptions = CodeReviewOptions &
  Readonly<{
    /** The program that matches, if it is not the one that ships. */
    matcherProgram?: string;
  }>;

const SHIPPED_RULES = fileURLToPath(new URL('../../../rules', import.meta.url));

/**
 * Gives the consumer of `workflow.events.ast` its work: a request in, the payload of `ast.completed` out. What
 * goes wrong is in the payload, as `error`; it throws only when `signal` aborts, with its reason. Throws a
 * TypeError at once for a wrong `cloneAllow`.
 */
export function createAnalyser(
  options: AnalyserOptions = {},
): (request: unknown, signal: AbortSignal) => Promise<JsonValue> {
  const settings = settingsOf(options);
  const list = allowListOf(settings.cloneAllow, settings.dataDir);
  const rulesDirectory = settings.rulesDirectory ?? SHIPPED_RULES;
  return async (request, signal) => {
    const parsed = AnalysisRequest.safeParse(request);
    if (!parsed.success) {
      return failed(`The request for an analysis is wrong: ${z.prettifyError(parsed.error)}`, true);
    }
    try {
      const sources = await readSources(parsed.data, { list, settings, signal });
      const { findings: most, fileMs } = settings.limits;
      const program = options.matcherProgram;
      const matching = { fileMs, signal, ...(program !== undefined && { program }) };
      return cutTo(most, await analysis(sources, rulesDirectory, matching));
    } catch (error) {
      signal.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      return failed(message, error instanceof MatcherError || error instanceof NonRetriable);
    }
  };
}

async function analysis(
  { files, skipped }: Sources,
  rulesDirectory: string,
  options: MatchOptions,
): Promise<Analysis> {
  const matched = await matchFiles({ rulesDirectory, files }, options);
  const unmatched = matched.flatMap((reason, index) =>
    typeof reason === 'string' ? [{ file: files[index]?.path ?? '', reason }] : [],
  );
  // Git gives the files in the order of their paths, and each file's findings are in order.
  const findings = matched.flatMap((each): readonly Finding[] =>
    typeof each === 'string' ? [] : each,
  );
  return { findings, findingsLeftOut: 0, skipped: [...skipped, ...unmatched] };
}

function cutTo(most: number, { findings, skipped }: Analysis): Answer & JsonValue {
  return {
    findings: findings.slice(0, most),
    findingsLeftOut: Math.max(0, findings.length - most),
    skipped,
  };
}

const failed = (message: string, permanent: boolean): Answer & JsonValue => ({
  error: { message: message.slice(0, 1000), permanent },
});
