import type { RetryOptions, lineOf } from '../sdk/index.ts';

/** A job that a trigger is to start. */
export type PlannedJob = Readonly<{
  workflow: string;
  priority: number;
  concurrency: ReturnType<typeof lineOf> | null;
  /** Left out: it may start at once. */
  rateLimit?: Readonly<{ key: string; limit: number; perMs: number }>;
  retry: RetryOptions;
  /** How long the job may take in all; left out: for ever. */
  timeoutMs?: number;
}>;
