import { z } from 'zod';

import { isCommitId, isFullCommitId, isRef } from './git/commit.ts';

const fullId = z
  .string()
  .refine((id) => isCommitId(id) && isFullCommitId(id), 'is not a full id of git');
const lineNumber = z.int().min(1).max(10_000_000);

/** What comes over the wire; whoever may publish to the exchange may have written it. */
export const AnalysisRequest = z.object({
  cloneUrl: z.string(),
  forkUrl: z.string().nullable().default(null),
  headSha: fullId,
  headRefs: z.array(z.string().refine(isRef, 'is not a ref')).max(10).default([]),
  files: z
    .array(
      z.object({
        path: z.string().min(1).max(4096),
        blob: fullId,
        added: z.array(z.tuple([lineNumber, lineNumber])).max(100_000),
      }),
    )
    .max(10_000),
});

export type AnalysisRequest = z.infer<typeof AnalysisRequest>;
