import { Archiver } from '../archive/archiver.ts';
import type { Core } from './core.ts';

/** What archives jobs after `JOB_KEEP_DAYS`; null without it. */
export function openArchiver(core: Core): Archiver | null {
  const { jobKeepDays: keepDays } = core.config;
  return keepDays === null ? null : new Archiver({ ...core, keepDays });
}
