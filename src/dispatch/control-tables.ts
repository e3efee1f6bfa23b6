import { CheckpointLost } from '../event-store/checkpoint.ts';
import type { Concurrency } from '../events/job.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { openingRow, phaseRow } from './control-rows.ts';
import { burstRows, signalRow, startRows, usedRows, waitRows } from './page-rows.ts';
import type { FoldedPage } from './fold-page.ts';
import type { Opening, Phase } from './job-fold.ts';
import { DISPATCH } from './names.ts';

/** What a page has touched: which reactions have something to look at. */
export type Touched = Readonly<{
  /** A job may have become ready. */
  ready: boolean;
  /** A job became ready, and its appender has told the workers, or was about to. */
  prompt: boolean;
  /** How many jobs were taken by a worker. */
  taken: number;
  /** A job left the hinted ones without being taken. */
  ended: boolean;
  /** A job paused or a signal came. */
  waits: boolean;
  /** A job has a new time at which something is due. */
  timers: boolean;
  /** A job paused with a request. */
  requests: boolean;
  /** A job of a line in which the newest takes the place of others came or went. */
  superseding: boolean;
  /** Jobs wait for their rate. */
  rates: boolean;
}>;

/** Where the follower stood before a page, and where it stands with it. */
export type Step = Readonly<{
  epoch: bigint;
  from: bigint;
  to: bigint;
  /** How much earlier than it was a hint that the appender published counts as published. Default 0. */
  promptEarlierMs?: number;
}>;

/**
 * Writes a folded page and moves the checkpoint over it, both or neither, in one call however many events it held.
 * Throws `CheckpointLost` when somebody else leads.
 */
export async function writePage(
  database: Queryable,
  page: FoldedPage,
  { epoch, from, to, promptEarlierMs = 0 }: Step,
): Promise<Touched> {
  const changes = sortChanges(page.jobs);
  const opened = changes.opened.map(({ jobId, opening, phase, hasBegun }) => ({
    ...phaseRow(jobId, phase, promptEarlierMs),
    ...openingRow(opening, hasBegun),
  }));
  const moved = changes.moved.map(({ jobId, phase }) => phaseRow(jobId, phase, promptEarlierMs));
  const [written] = await database.query<{ touched: LineTag[] | null }>(sql`
    select dispatch.write_page(
      follower => ${DISPATCH}, term => ${String(epoch)},
      position_before => ${String(from)}, position_after => ${String(to)},
      ended => ${changes.ended}, opened => ${rows(opened)}, moved => ${rows(moved)},
      left_pause => ${changes.leftPause}, waits => ${rows(waitRows(changes.open))},
      signals => ${rows(page.signals.map(signalRow))}, used => ${rows(usedRows(page.jobs))},
      starts => ${rows(startRows(page.jobs))}, bursts => ${rows(burstRows(page.bursts))}
    ) as touched`);
  const lines = written?.touched ?? null;
  if (lines === null) {
    throw new CheckpointLost(
      `${DISPATCH} no longer stands at ${String(from)} in epoch ${String(epoch)}`,
    );
  }
  return touched(changes, page.signals, lines);
}

/** The strategies of the lines that a page touched; `rate`: jobs wait for their rate. */
type LineTag = Concurrency['strategy'] | 'rate';

type Moved = Readonly<{ jobId: string; phase: Phase }>;
type Changes = Readonly<{
  opened: readonly (Moved & Readonly<{ opening: Opening; hasBegun: boolean }>)[];
  moved: readonly Moved[];
  /** All that stand open after the page: `opened` and `moved`. */
  open: readonly Moved[];
  ended: readonly string[];
  leftPause: readonly string[];
}>;

function sortChanges(jobs: FoldedPage['jobs']): Changes {
  const opened: Changes['opened'][number][] = [];
  const moved: Moved[] = [];
  const ended: string[] = [];
  const leftPause: string[] = [];
  for (const [jobId, { opening, phase, hasBegun, leftPause: left }] of jobs) {
    if (phase === null) {
      ended.push(jobId);
      continue;
    }
    if (left) leftPause.push(jobId);
    if (opening === null) moved.push({ jobId, phase });
    else opened.push({ jobId, opening, phase, hasBegun });
  }
  return { opened, moved, open: [...opened, ...moved], ended, leftPause };
}

/** null for nothing: the function skips it. */
const rows = (all: readonly object[]): string | null =>
  all.length === 0 ? null : JSON.stringify(all);

const isReady = ({ name }: Phase): boolean => name === 'requested' || name === 'resumed';

function touched(
  { opened, open, ended }: Changes,
  signals: FoldedPage['signals'],
  lines: readonly LineTag[],
): Touched {
  const phases = open.map(({ phase }) => phase);
  const has = (...names: readonly Phase['name'][]): boolean =>
    phases.some(({ name }) => names.includes(name));
  return {
    ready:
      phases.some((phase) => isReady(phase) && phase.hintedAt === null) ||
      lines.includes('queue') ||
      lines.includes('limit'),
    prompt: phases.some((phase) => isReady(phase) && phase.hintedAt !== null),
    taken: phases.filter(({ name }) => name === 'running').length,
    ended: ended.length > 0,
    waits: signals.length > 0 || has('paused'),
    timers:
      has('retrying') ||
      lines.includes('debounce') ||
      opened.some(({ opening }) => opening.deadline !== null) ||
      phases.some(({ wait }) => typeof wait?.until === 'string'),
    requests: phases.some(({ wait }) => Boolean(wait?.request)),
    superseding: lines.includes('supersede') || lines.includes('debounce'),
    rates: lines.includes('rate'),
  };
}
