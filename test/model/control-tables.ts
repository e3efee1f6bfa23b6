import {
  type OpeningRow,
  type PhaseRow,
  openingRow,
  phaseRow,
} from '../../src/dispatch/control-rows.ts';
import { DISPATCHED_TYPES, foldPage } from '../../src/dispatch/fold-page.ts';
import type { JobFold } from '../../src/dispatch/job-fold.ts';
import type { EventStore } from '../../src/event-store/event-store.ts';
import type { JobEvent, Wait } from '../../src/events/job.ts';
import { isAwaited } from '../../src/events/payload-match.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { type ModelRow, modelOf } from '../dispatch/model.ts';

/** A row of `dispatch.jobs`: what the real folding writes, and what the reactions add. */
export type Row = Omit<PhaseRow, 'wait'> &
  OpeningRow & {
    wait: Wait | null;
    /** Its next attempt is due. */
    released: boolean;
    hintedAt: number | null;
  };

type KnownSignal = Readonly<{ id: string; position: bigint; data: SignalEvent['data'] }>;

/** How `strategy` lines work: the columns that the database derives from the other rows of a line. */
type Line = Readonly<{ blocked: boolean; supersededBy: string | null }>;

/**
 * The dispatcher's tables in memory: pages are folded by its own code, and written as `dispatch.write_page` does. What
 * they hold is compared with the model that the SQL is tested against.
 */
export class ControlTables {
  readonly rows = new Map<string, Row>();
  private readonly signals = new Map<string, KnownSignal>();
  private readonly used = new Map<string, Set<string>>();
  private position = 0n;

  constructor(
    private readonly store: EventStore,
    private readonly now: () => number,
  ) {}

  /** Takes over the next events of the log. */
  async fold(limit: number): Promise<void> {
    const events = await this.store.readAll({ after: this.position, limit });
    const page = events.filter(({ type }) =>
      (DISPATCHED_TYPES as readonly string[]).includes(type),
    );
    const { jobs, signals } = await foldPage(page, (jobId, before) =>
      this.store.readStream<JobEvent>(jobId, { to: before - 1 }),
    );
    for (const [jobId, job] of jobs) this.write(jobId, job);
    for (const { streamId: id, position, data } of signals) {
      this.signals.set(id, { id, position, data });
    }
    this.position = events.at(-1)?.position ?? this.position;
  }

  private write(jobId: string, { opening, phase, hasBegun, usedSignals }: JobFold): void {
    if (phase === null) {
      this.rows.delete(jobId);
      this.used.delete(jobId);
      return;
    }
    const { wait: _, ...moved } = phaseRow(jobId, phase, 0);
    const known = opening === null ? this.rows.get(jobId) : openingRow(opening, hasBegun);
    if (known === undefined) return;
    const hintedAt = phase.hintedAt === null ? null : this.now();
    this.rows.set(jobId, { ...known, ...moved, wait: phase.wait, released: false, hintedAt });
    this.used.set(jobId, new Set([...(this.used.get(jobId) ?? []), ...usedSignals]));
  }

  /** Begins anew, as after `dispatch reset`. */
  reset(): void {
    this.rows.clear();
    this.signals.clear();
    this.used.clear();
    this.position = 0n;
  }

  /** Jobs that a worker may take and that have their turn. */
  ready(): readonly Row[] {
    return [...this.rows.values()].filter((row) => {
      if (!row.takeable && !row.released) return false;
      const { blocked, supersededBy } = this.line(row);
      return !blocked && supersededBy === null;
    });
  }

  line({ workflow, key, strategy, limit, ...row }: Row): Line {
    const line = [...this.rows.values()].filter(
      (other) => key !== null && other.workflow === workflow && other.key === key,
    );
    const older = line.filter((other) => BigInt(other.line_position) < BigInt(row.line_position));
    const newest = line
      .filter((other) => BigInt(other.requested_position) > BigInt(row.requested_position))
      .toSorted((a, b) => Number(b.requested_position) - Number(a.requested_position));
    return {
      blocked: limit !== null && older.length >= limit,
      supersededBy: strategy === 'supersede' ? (newest[0]?.job_id ?? null) : null,
    };
  }

  /** The oldest signal that ends the wait of the job. */
  signalFor({ job_id, requested_position, wait }: Row): KnownSignal | null {
    if (wait === null) return null;
    const fitting = [...this.signals.values()]
      .filter(({ position }) => position > BigInt(requested_position))
      .filter(({ id }) => !this.used.get(job_id)?.has(id))
      .filter(({ data }) => isAwaited(wait.on, data));
    return fitting.toSorted((a, b) => Number(a.position - b.position))[0] ?? null;
  }

  /** What differs from the tables as they follow from the whole log; only to be asked when all of it is folded. */
  async differences(): Promise<readonly string[]> {
    const log = await this.store.readAll<JobEvent | SignalEvent>({ after: 0n, limit: 100_000 });
    const own = new Map(
      [...this.rows].map(([id, row]) => [id, JSON.stringify(this.comparable(row))]),
    );
    const wanted = modelOf(log).jobs.map(
      (row) => [row.job_id, JSON.stringify(picked(row))] as const,
    );
    const differing = wanted.filter(([id, row]) => own.get(id) !== row);
    const extra = [...own.keys()].filter((id) => !wanted.some(([other]) => other === id));
    return [
      ...differing.map(([id, row]) => `${id} is ${own.get(id) ?? 'missing'}, not ${row}`),
      ...extra.map((id) => `${id} has ended`),
    ];
  }

  private comparable(row: Row): Comparable {
    const { blocked, supersededBy } = this.line(row);
    return picked({
      ...row,
      position: Number(row.position),
      requested_position: Number(row.requested_position),
      line_position: Number(row.line_position),
      wait_id: row.wait?.id ?? null,
      blocked,
      superseded_by: supersededBy,
      used: [...(this.used.get(row.job_id) ?? [])].toSorted(),
    });
  }
}

const COMPARED = [
  'phase',
  'version',
  'position',
  'requested_position',
  'line_position',
  'key',
  'run_id',
  'worker_id',
  'wait_id',
  'next_attempt_at',
  'deadline',
  'takeable',
  'blocked',
  'superseded_by',
  'used',
] as const satisfies readonly (keyof ModelRow)[];

type Comparable = Pick<ModelRow, (typeof COMPARED)[number]>;

const picked = (row: Comparable): Comparable =>
  Object.fromEntries(COMPARED.map((column) => [column, row[column]])) as Comparable;
