import type { Recorded } from '../events/event.ts';
import type { JobEvent, WaitRequest } from '../events/job.ts';
import { type JobStatus, type JobView, type StepView, evolveJobView } from '../events/job-view.ts';
import { createLogger } from '../platform/logger.ts';
import type { JsonValue } from '../sdk/index.ts';
import { type RunServices, runJob } from '../workers/run-job.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { Rejected } from '../write/rejected.ts';
import { DecideJob } from '../write/door.ts';
import type { JobLog, TestSignal } from './job-log.ts';
import type { LogLine, Observed, ProgressLine } from './observed.ts';

/** An event of the job. What differs between two runs of the same test is left out. */
export type TestEvent = Readonly<Pick<Recorded<JobEvent>, 'type' | 'version' | 'at' | 'data'>>;

/** What a paused job waits for; `event` is `sleep` for a sleep. */
export type TestWait = NonNullable<JobView['waitingFor']> &
  Readonly<{ id: string; request: WaitRequest | null }>;

const NEVER = new AbortController().signal;

const WORKER = 'test-worker';

const SILENT = createLogger('silent', 'testing');

/** A workflow that is run so often without time passing does not end. */
const MAX_RUNS = 500;

/**
 * A job that runs in memory. All that it can do at its time it has done when a method resolves; then it has ended, or
 * waits for a signal, a person or time. Its time stands still but for `advance`.
 */
export class TestRun {
  private time: number;
  private runs = 0;
  private lost: AbortController | null = null;
  private settling: Promise<void> | null = null;
  private news = false;
  private view: JobView;
  private readonly recorded: TestEvent[] = [];
  private readonly progressLines: ProgressLine[] = [];

  constructor(
    private readonly parts: Readonly<{
      log: JobLog;
      observed: Observed;
      requested: Recorded<JobEvent>;
      now: Date;
      jitter: number;
    }>,
  ) {
    this.time = parts.now.getTime();
    this.view = evolveJobView(null, parts.requested);
    this.recorded.push(shown(parts.requested));
  }

  get jobId(): string {
    return this.parts.log.jobId;
  }

  get status(): JobStatus {
    return this.view.status;
  }

  /** What the workflow returned; null until it is COMPLETED. */
  get result(): JsonValue {
    return this.view.result;
  }

  /** The last failure, also of an attempt that another one follows; null without any. */
  get error(): JobView['error'] {
    return this.view.error;
  }

  /** The steps that are done, with their kept results, in the order in which they were done. */
  get steps(): readonly StepView[] {
    return this.view.steps;
  }

  get events(): readonly TestEvent[] {
    return this.recorded;
  }

  /** Set while PAUSED. */
  get waitingFor(): TestWait | null {
    const { waitingFor } = this.view;
    const { phase } = this.parts.log.state;
    if (waitingFor === null || phase.status !== 'paused') return null;
    return { ...waitingFor, id: phase.wait.id, request: phase.wait.request };
  }

  /** 0 until it has started. */
  get attempt(): number {
    return this.view.attempt;
  }

  /** Set while RETRYING. */
  get nextAttemptAt(): string | null {
    return this.view.nextAttemptAt;
  }

  get concurrencyKey(): string | null {
    return this.view.concurrencyKey;
  }

  /** What the workflow wrote with `ctx.logger`. */
  get logs(): readonly LogLine[] {
    return this.parts.observed.logs;
  }

  /** What it said with `ctx.progress`. */
  get progress(): readonly ProgressLine[] {
    return this.progressLines;
  }

  /** The job's time. */
  get now(): Date {
    return new Date(this.time);
  }

  /** Sends a signal. It is kept when nothing waits for it yet, as in production. */
  async signal(event: string, about: Omit<TestSignal, 'event'> = {}): Promise<void> {
    await this.parts.log.send({ event, ...about }, this.now);
    await this.settle();
  }

  /** Lets so much time pass: sleeps end, waits time out and retries begin, each at its own moment and in order. */
  async advance(ms: number): Promise<void> {
    if (!(Number.isFinite(ms) && ms >= 0)) {
      throw new RangeError(`run.advance takes milliseconds from 0, not ${String(ms)}`);
    }
    if (this.settling !== null) {
      throw new Error('run.advance: the workflow runs, and time stands still meanwhile');
    }
    const target = this.time + ms;
    for (let due = this.nextDue(); due !== null && due <= target; due = this.nextDue()) {
      this.time = Math.max(this.time, due);
      await this.settle();
    }
    this.time = target;
    await this.settle();
  }

  /** Cancels the job; a step that runs sees it on `ctx.signal`. */
  async cancel(reason: string | null = null): Promise<void> {
    await this.decide('cancel', { type: 'CancelJob', at: this.now, data: { reason } });
  }

  /** Ends the wait by hand: `waitForEvent` gives `payload`, with null as its event. */
  async resume(payload: JsonValue = null): Promise<void> {
    const outcome = { kind: 'manual', payload } as const;
    await this.decide('resume', {
      type: 'ResumeJob',
      at: this.now,
      data: { waitId: null, outcome },
    });
  }

  /** Runs a job that has ended again, from a step on or with all that it has done; ends the wait for a retry. */
  async retry({ fromStep = null }: Readonly<{ fromStep?: string | null }> = {}): Promise<void> {
    await this.decide('retry', { type: 'RetryJob', at: this.now, data: { fromStep } });
  }

  /** Does what the dispatcher and a worker do now, until neither has anything to do. */
  async settle(): Promise<void> {
    this.news = true;
    if (this.settling !== null) {
      // Called from the workflow's own code: who waited here would wait for itself. The loop below hears of it.
      await this.refresh();
      return;
    }
    this.settling = this.goOn();
    try {
      await this.settling;
    } finally {
      this.settling = null;
    }
    if (this.status === 'COMPLETED') this.parts.observed.assertFakesUsed();
  }

  private async decide(method: string, command: JobCommand): Promise<void> {
    try {
      await this.parts.log.decide(command);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      throw new Error(`run.${method}: refused with ${error.reason}, as the job is ${this.status}`, {
        cause: error,
      });
    }
    if (command.type === 'CancelJob') this.lost?.abort(new Error('the job was cancelled'));
    await this.settle();
  }

  private async goOn(): Promise<void> {
    let runs = 0;
    while (this.news) {
      this.news = false;
      while (await this.takeTurn()) {
        if (++runs > MAX_RUNS) {
          throw new Error(
            `Workflow "${this.view.workflow}" was run ${String(MAX_RUNS)} times without time passing: a loop of it waits 0 ms, or retries at once`,
          );
        }
      }
      await this.refresh();
    }
  }

  /** Whether there was something to do. */
  private async takeTurn(): Promise<boolean> {
    const { log } = this.parts;
    const { phase, usedSignals } = log.state;
    if (phase.status === 'paused') {
      const { wait } = phase;
      const outcome = await log.endOf(wait, usedSignals, this.now);
      if (outcome === null) return false;
      await log.decide({ type: 'ResumeJob', at: this.now, data: { waitId: wait.id, outcome } });
      return true;
    }
    const takeable =
      phase.status === 'requested' ||
      phase.status === 'resumed' ||
      (phase.status === 'retrying' && Date.parse(phase.nextAttemptAt) <= this.time);
    if (takeable) await this.runOnce();
    return takeable;
  }

  private async runOnce(): Promise<void> {
    const { log, observed } = this.parts;
    const { jobId } = log;
    const runId = `run-${String(++this.runs)}`;
    const start = { type: 'StartJob', at: this.now, data: { runId, workerId: WORKER } } as const;
    const { history } = await log.door.execute(
      new DecideJob(jobId, start, { commandId: `${jobId}:${runId}` }),
    );
    const lost = new AbortController();
    this.lost = lost;
    await this.refresh();
    try {
      const claim = { jobId, runId, workerId: WORKER, history };
      const signals = { lost: lost.signal, drain: NEVER, release: NEVER };
      await runJob(claim, observed.workflow, this.services, signals);
    } finally {
      this.lost = null;
    }
  }

  private get services(): RunServices {
    return {
      door: this.parts.log.door,
      logger: SILENT,
      clock: () => this.now,
      random: () => this.parts.jitter,
      progress: (_, percent, message) => {
        this.progressLines.push({ percent, message });
      },
    };
  }

  private async refresh(): Promise<void> {
    for (const event of await this.parts.log.eventsAfter(this.view.version)) {
      // Of two refreshes at a time, the other may have seen it.
      if (event.version <= this.view.version) continue;
      this.view = evolveJobView(this.view, event);
      this.recorded.push(shown(event));
    }
  }

  /** When the job goes on by itself. */
  private nextDue(): number | null {
    const due = this.view.nextAttemptAt ?? this.view.waitingFor?.until ?? null;
    return due === null ? null : Date.parse(due);
  }
}

const shown = ({ type, version, at, data }: Recorded<JobEvent>): TestEvent => ({
  type,
  version,
  at,
  data,
});
