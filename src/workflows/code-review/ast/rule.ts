import type { NapiConfig } from '@ast-grep/napi';

import type { Severity } from '../analysis.ts';
import type { Language } from '../languages.ts';

/** The part of a rule that `@ast-grep/napi` reads. */
export type Matcher = NapiConfig;

export type Rule = Readonly<{
  id: string;
  /** The languages of the files that it looks at. */
  languages: readonly Language[];
  severity: Severity;
  message: string;
  matcher: Matcher;
}>;
