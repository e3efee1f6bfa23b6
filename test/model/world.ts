import { setImmediate } from 'node:timers/promises';

import { carryOut } from '../../src/dispatch/carry-out.ts';
import { DispatchCounts } from '../../src/dispatch/dispatch-counts.ts';
import { InMemoryEventStore } from '../../src/event-store/in-memory-event-store.ts';
import type { JobRequest } from '../../src/events/job.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { claimJob } from '../../src/workers/claim-job.ts';
import { runJob } from '../../src/workers/run-job.ts';
import { LOSS_TYPES, RunningJobs, noticeOf } from '../../src/workers/running-jobs.ts';
import { codeOf } from '../../src/workers/workflow-code.ts';
import { DecideJob, type Door, SendSignal } from '../../src/write/door.ts';
import type { JobCommand } from '../../src/write/job/commands.ts';
import { JobDecisions } from '../../src/write/job/decide-job.ts';
import { Rejected } from '../../src/write/rejected.ts';
import { Signals } from '../../src/write/signal/send-signal.ts';
import { AT } from '../support/jobs.ts';
import { ControlTables, type Row } from './control-tables.ts';
import { ORDERS, releaseRetries } from './reactions.ts';
import { scripted } from './scripted.ts';

export const LEASE_MS = 10_000;
export const REDISPATCH_MS = 30_000;

export type Hint = Readonly<{ jobId: string; version: number }>;

/** A step whose function runs. */
export type PendingStep = Readonly<{
  jobId: string;
  runId: string;
  name: string;
  /** What it gives when it succeeds. */
  token: string;
  succeed: () => void;
  fail: (error: Error) => void;
}>;

/** What becomes of hints that the appender is to publish: it has no room for them, publishes them, or dies before. */
export type PromptHinting = 'off' | 'on' | 'lost';

export const REACTIONS = ['timers', 'signals', 'superseding', 'leases', 'hints'] as const;
export type ReactionName = (typeof REACTIONS)[number];

const silent = createLogger('silent', 'model');
const never = (): AbortSignal => new AbortController().signal;

class ModelWorker {
  readonly jobs = new RunningJobs();
  /** Its process is gone: nothing that it says arrives. */
  isGone = false;
  silentSince: number | null = null;
  heardTo = 0n;

  constructor(readonly id: string) {}
}

/**
 * The engine in one process, with the rules, the folding, the claims and the runs of production. Time, the broker, and
 * what the dispatcher's SQL does are played, so that each of them can be late, lost, or twice.
 */
export class World {
  readonly store = new InMemoryEventStore();
  readonly hints: Hint[] = [];
  readonly pending: PendingStep[] = [];
  now = AT.getTime();
  prompt: PromptHinting = 'off';
  readonly tables: ControlTables;
  private readonly door: Door;
  private readonly workers = [new ModelWorker('w1'), new ModelWorker('w2')];
  private readonly all = [...this.workers];
  private activity = 0;
  private inFlight = 0;
  private executions = 0;

  constructor(private readonly onStep: (step: PendingStep) => void) {
    this.tables = new ControlTables(this.store, () => this.now);
    const decisions = new JobDecisions(this.store, {
      reserve: () => this.prompt !== 'off',
      giveBack: () => undefined,
      publish: ({ jobId, version }) => {
        if (this.prompt === 'on') this.hints.push({ jobId, version });
      },
    });
    const signals = new Signals(this.store, decisions, (event) =>
      Promise.resolve(
        [...this.tables.rows.values()].flatMap(({ job_id: jobId, wait, requested_position }) =>
          wait?.on.some((each) => each.event === event)
            ? [
                {
                  jobId,
                  waitId: wait.id,
                  on: wait.on,
                  requestedPosition: BigInt(requested_position),
                },
              ]
            : [],
        ),
      ),
    );
    this.door = {
      execute: (command: unknown) =>
        this.counted(
          command instanceof SendSignal
            ? (signals.send(command) as Promise<unknown>)
            : (decisions.decide(command as DecideJob) as Promise<unknown>),
        ),
      // The door answers each command with its own type; only these two are put to it here.
    } as Door;
  }

  get at(): Date {
    return new Date(this.now);
  }

  /** The reason when the rules refuse. */
  async decide(jobId: string, command: JobCommand): Promise<string | null> {
    try {
      await this.door.execute(new DecideJob(jobId, command));
      return null;
    } catch (error) {
      if (error instanceof Rejected) return error.reason;
      throw error;
    } finally {
      await this.settle();
    }
  }

  request(jobId: string, data: JobRequest): Promise<string | null> {
    return this.decide(jobId, { type: 'RequestJob', at: this.at, data });
  }

  async signal(id: string, event: string, key: string | null): Promise<void> {
    await this.door.execute(new SendSignal({ id, event, key, payload: id, at: this.at }));
    await this.settle();
  }

  /** Gives a hint to workers, which all take it up at once. */
  async deliver({ jobId, version }: Hint, places: readonly number[]): Promise<void> {
    await Promise.all(
      places.map(async (place) => {
        const worker = this.workers[place];
        if (worker !== undefined) await this.take(jobId, version, worker);
      }),
    );
    await this.settle();
  }

  /** Ends a step's function. */
  async end(step: PendingStep, error: Error | null): Promise<void> {
    this.forget(step);
    if (error === null) step.succeed();
    else step.fail(error);
    await this.settle();
  }

  /** The process is gone without a word (`crash`), stands still and does not know it (`stall`), or is to end (`drain`). */
  async lose(place: number, how: 'crash' | 'stall' | 'drain'): Promise<void> {
    const worker = this.workers[place];
    if (worker === undefined) return;
    this.workers[place] = new ModelWorker(`w${String(this.all.length + 1)}`);
    this.all.push(this.workers[place]);
    if (how === 'drain') {
      worker.jobs.drain();
    } else {
      worker.silentSince = this.now;
      worker.isGone = how === 'crash';
    }
    await this.settle();
  }

  isGone(workerId: string): boolean {
    return this.all.some(({ id, isGone }) => id === workerId && isGone);
  }

  /** The workers hear which jobs were taken from them. */
  async notice(): Promise<void> {
    for (const { jobs, heardTo, ...worker } of this.all.filter(({ isGone }) => !isGone)) {
      const events = await this.store.readAll({ after: heardTo, limit: 100_000 });
      jobs.heed(
        events
          .filter(({ type }) => LOSS_TYPES.includes(type))
          .map((event) => noticeOf(event))
          .filter((notice) => notice !== null),
      );
      const heard = this.all.find(({ id }) => id === worker.id);
      if (heard) heard.heardTo = events.at(-1)?.position ?? heardTo;
    }
    await this.settle();
  }

  /** What the dispatcher does once, upon tables that may be behind the log. */
  async react(reaction: ReactionName): Promise<void> {
    if (reaction === 'hints') {
      for (const row of this.tables.ready()) this.hint(row);
    } else {
      if (reaction === 'timers') releaseRetries(this.tables.rows.values(), this.at);
      const orders = [...this.tables.rows.values()].flatMap((row) => ORDERS[reaction](row, this));
      await carryOut(orders, { door: this.door, counts: new DispatchCounts() });
    }
    await this.settle();
  }

  /** All of what a dispatcher does that is up to date. */
  async dispatch(): Promise<void> {
    for (const reaction of REACTIONS) {
      await this.tables.fold(100_000);
      await this.react(reaction);
    }
  }

  private hint(row: Row): void {
    if (row.hintedAt !== null && row.hintedAt + REDISPATCH_MS > this.now) return;
    row.hintedAt = this.now;
    this.hints.push({ jobId: row.job_id, version: row.version });
  }

  /** A worker that has not been heard of for a lease. */
  isSilent(workerId: string | null): boolean {
    const silentSince = this.all.find(({ id }) => id === workerId)?.silentSince ?? null;
    return silentSince !== null && silentSince + LEASE_MS <= this.now;
  }

  private async take(jobId: string, version: number, worker: ModelWorker): Promise<void> {
    const run = { id: '' };
    const workflow = scripted((name, signal) => this.perform({ jobId, run, name }, signal));
    const services = {
      door: this.doorOf(worker),
      logger: silent,
      clock: () => this.at,
      random: () => 1,
      replayGraceMs: 0,
      leaveAfterMs: 0,
    };
    const claim = await claimJob(
      jobId,
      { ...services, workerId: worker.id, code: codeOf(workflow), jobVersion: version },
      never(),
    );
    if (typeof claim === 'string') return;
    run.id = claim.runId;
    void worker.jobs.run(claim, never(), (signals) => runJob(claim, workflow, services, signals));
  }

  private perform(
    { jobId, run, name }: Readonly<{ jobId: string; run: { id: string }; name: string }>,
    signal: AbortSignal,
  ): Promise<string> {
    this.activity++;
    return new Promise((resolve, reject) => {
      const token = `${name} ${String(++this.executions)}`;
      const step: PendingStep = {
        jobId,
        runId: run.id,
        name,
        token,
        succeed: () => {
          resolve(token);
        },
        fail: reject,
      };
      this.pending.push(step);
      this.onStep(step);
      signal.addEventListener('abort', () => {
        this.forget(step);
        reject(new Error('It heeds its signal'));
      });
    });
  }

  private forget(step: PendingStep): void {
    const place = this.pending.indexOf(step);
    if (place !== -1) this.pending.splice(place, 1);
  }

  private doorOf(worker: ModelWorker): Door {
    return {
      execute: (command: DecideJob) =>
        worker.isGone ? new Promise(() => {}) : this.door.execute(command),
    } as Door;
  }

  private async counted<T>(work: Promise<T>): Promise<T> {
    this.activity++;
    this.inFlight++;
    try {
      return await work;
    } finally {
      this.inFlight--;
    }
  }

  /** Until nothing goes on but steps. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      const before = this.activity;
      await setImmediate();
      quiet = before === this.activity && this.inFlight === 0 ? quiet + 1 : 0;
    }
  }
}
