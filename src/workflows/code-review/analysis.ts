import type { JsonValue } from '../../sdk/index.ts';

export type Severity = 'error' | 'warning' | 'info' | 'hint';

export type Finding = Readonly<{
  file: string;
  /** From 1. */
  line: number;
  /** From 1, in UTF-16 units. */
  column: number;
  rule: string;
  severity: Severity;
  message: string;
}>;

export type Analysis = Readonly<{
  /** In the order of file, line, column and rule. */
  findings: readonly Finding[];
  /** More than the result may hold. */
  findingsLeftOut: number;
  skipped: readonly Readonly<{ file: string; reason: string }>[];
}>;

/** What the analyser sends as the payload of `ast.completed`. */
export type Answer = Analysis | Readonly<{ error: AnalysisError }>;

/** `permanent`: asking again would fail again. */
export type AnalysisError = Readonly<{ message: string; permanent: boolean }>;

/**
 * Reads a signal's payload, which anybody with the right to send signals may have written. An error may also
 * be a plain text, and is permanent unless it says otherwise.
 */
export function parseAnswer(payload: JsonValue): Answer {
  if (!isRecord(payload)) return unreadable;
  const { error, findings, findingsLeftOut: left, skipped } = payload;
  if (typeof error === 'string') return { error: { message: error, permanent: true } };
  if (isRecord(error) && typeof error['message'] === 'string') {
    return { error: { message: error['message'], permanent: error['permanent'] !== false } };
  }
  if (!Array.isArray(findings)) return unreadable;
  return {
    findings: findings as readonly Finding[],
    findingsLeftOut: typeof left === 'number' ? left : 0,
    skipped: Array.isArray(skipped) ? (skipped as Analysis['skipped']) : [],
  };
}

const unreadable: Answer = {
  error: { message: 'The signal ast.completed has no findings in it', permanent: false },
};

const isRecord = (value: unknown): value is Readonly<Record<string, JsonValue>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
