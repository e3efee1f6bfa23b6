import { CheckpointLost } from '../event-store/checkpoint.ts';
import type { Recorded } from '../events/event.ts';
import type { Concurrency } from '../events/job.ts';
import type { SignalEvent } from '../events/signal.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { openingRow, phaseRow } from './control-rows.ts';
import type { FoldedPage } from './fold-page.ts';
import type { Opening, Phase } from './job-fold.ts';
import { DISPATCH } from './names.ts';
import { storable } from './storable.ts';

/** What a page has touched: which reactions have something to look at. */
export type Touched = Readonly<{
  /** A job may have become ready. */
  ready: boolean;
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
  /** A job of a line in which the newest supersedes came or went. */
  superseding: boolean;
}>;

/** Where the follower stood before a page, and where it stands with it. */
export type Step = Readonly<{ epoch: bigint; from: bigint; to: bigint }>;

/**
 * Writes a folded page and moves the checkpoint over it, both or neither, in one call however many events it held.
 * Throws `CheckpointLost` when somebody else leads.
 */
export async function writePage(
  database: Queryable,
  page: FoldedPage,
  { epoch, from, to }: Step,
): Promise<Touched> {
  const changes = sortChanges(page.jobs);
  const opened = changes.opened.map(({ jobId, opening, phase }) => ({
    ...phaseRow(jobId, phase),
    ...openingRow(opening),
  }));
  const moved = changes.moved.map(({ jobId, phase }) => phaseRow(jobId, phase));
  const [written] = await database.query<{ strategies: Concurrency['strategy'][] | null }>(sql`
    select dispatch.write_page(
      follower => ${DISPATCH}, term => ${String(epoch)},
      position_before => ${String(from)}, position_after => ${String(to)},
      ended => ${changes.ended}, opened => ${rows(opened)}, moved => ${rows(moved)},
      left_pause => ${changes.leftPause}, waits => ${rows(waitRows(changes.open))},
      signals => ${rows(page.signals.map(signalRow))}, used => ${rows(usedRows(page.jobs))}
    ) as strategies`);
  const strategies = written?.strategies ?? null;
  if (strategies === null) {
    throw new CheckpointLost(
      `${DISPATCH} no longer stands at ${String(from)} in epoch ${String(epoch)}`,
    );
  }
  return touched(changes, page.signals, strategies);
}

type Moved = Readonly<{ jobId: string; phase: Phase }>;
type Changes = Readonly<{
  opened: readonly (Moved & Readonly<{ opening: Opening }>)[];
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
  for (const [jobId, { opening, phase, leftPause: left }] of jobs) {
    if (phase === null) {
      ended.push(jobId);
      continue;
    }
    if (left) leftPause.push(jobId);
    if (opening === null) moved.push({ jobId, phase });
    else opened.push({ jobId, opening, phase });
  }
  return { opened, moved, open: [...opened, ...moved], ended, leftPause };
}

/** null for nothing: the function skips it. */
const rows = (all: readonly object[]): string | null =>
  all.length === 0 ? null : JSON.stringify(all);

const waitRows = (open: readonly Moved[]): readonly object[] =>
  open.flatMap(({ jobId, phase: { wait } }) =>
    (wait?.on ?? []).map(({ event, key }, ordinal) => ({
      job_id: jobId,
      ordinal,
      event: storable(event),
      key: key === null ? null : storable(key),
    })),
  );

const signalRow = ({ streamId, position, data }: Recorded<SignalEvent>): object => ({
  signal_id: streamId,
  event: storable(data.event),
  key: data.key === null ? null : storable(data.key),
  position: String(position),
});

const usedRows = (jobs: FoldedPage['jobs']): readonly object[] =>
  [...jobs].flatMap(([jobId, { phase, usedSignals }]) =>
    phase === null ? [] : usedSignals.map((signalId) => ({ job_id: jobId, signal_id: signalId })),
  );

function touched(
  { open, ended }: Changes,
  signals: FoldedPage['signals'],
  strategies: readonly Concurrency['strategy'][],
): Touched {
  const phases = open.map(({ phase }) => phase);
  const has = (...names: readonly Phase['name'][]): boolean =>
    phases.some(({ name }) => names.includes(name));
  return {
    ready: has('requested', 'resumed') || strategies.includes('queue'),
    taken: phases.filter(({ name }) => name === 'running').length,
    ended: ended.length > 0,
    waits: signals.length > 0 || has('paused'),
    timers: has('retrying') || phases.some(({ wait }) => typeof wait?.until === 'string'),
    requests: phases.some(({ wait }) => Boolean(wait?.request)),
    superseding: strategies.includes('supersede'),
  };
}
