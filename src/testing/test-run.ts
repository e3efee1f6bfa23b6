import type { Recorded } from '../events/event.ts';
import type { JobEvent } from '../events/job.ts';
import { createLogger } from '../platform/logger.ts';
import type { JsonValue, Workflow } from '../sdk/index.ts';
import { type RunServices, runJob } from '../workers/run-job.ts';
import { codeOf } from '../workers/workflow-code.ts';
import type { JobCommand } from '../write/job/commands.ts';
import { isFinished } from '../write/job/decider.ts';
import { Rejected } from '../write/rejected.ts';
import { DecideJob } from '../write/door.ts';
import type { JobLog, TestSignal } from './job-log.ts';
import { Limits } from './limits.ts';
import type { LogLine, Observed, ProgressLine } from './observed.ts';
import { ShownJob } from './shown-job.ts';

/** `by`: "tester" when it is left out. */
type Answer = Readonly<{ by?: string; comment?: string | null }>;

const NEVER = new AbortController().signal;

const WORKER = 'test-worker';

const SILENT = createLogger('silent', 'testing');

/** A workflow that is run so often without time passing does not end. */
const MAX_RUNS = 500;

/**
 * A job that runs in memory. All that it can do at its time it has done when a method resolves; then it has ended, or
 * waits for a signal, a person or time. Its time stands still but for `advance`.
 */
export class TestRun extends ShownJob {
  private time: number;
  private runs = 0;
  private lost: AbortController | null = null;
  private settling: Promise<void> | null = null;
  /** What limits the run that is under way: time passes in it only while a step hangs. */
  private readonly limits = new Limits(
    () => this.time,
    (time) => {
      this.time = time;
    },
  );
  private news = false;
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
    super(parts.log, parts.requested);
    this.time = parts.now.getTime();
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
    await this.log.send({ event, ...about }, this.now);
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
    this.time = Math.max(this.time, target);
    await this.settle();
  }

  /** Answers the approval that the job waits for. */
  async approve(answer: Answer = {}): Promise<void> {
    await this.answer('approve', { approved: true, ...answer });
  }

  async reject(answer: Answer = {}): Promise<void> {
    await this.answer('reject', { approved: false, ...answer });
  }

  /** Lets the job go on with other code of its workflow, as after a deploy: from its next run on. */
  async deploy(workflow: Workflow): Promise<void> {
    if (workflow.name !== this.view.workflow) {
      throw new Error(`run.deploy: the job is of "${this.view.workflow}", not "${workflow.name}"`);
    }
    this.parts.observed.replace(workflow);
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

  private async answer(
    method: string,
    { approved, by = 'tester', comment = null }: Answer & Readonly<{ approved: boolean }>,
  ): Promise<void> {
    const data = { approved, by, comment };
    await this.decide(method, { type: 'AnswerApproval', at: this.now, data });
  }

  private async decide(method: string, command: JobCommand): Promise<void> {
    try {
      await this.log.decide(command);
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
    const { log } = this;
    const { phase, usedSignals } = log.state;
    if (!isFinished(log.state) && this.isOver(log.state.deadline)) {
      await log.decide({ type: 'ExpireJob', at: this.now });
      return true;
    }
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
      (phase.status === 'retrying' && this.isOver(phase.nextAttemptAt));
    if (takeable) await this.runOnce();
    return takeable;
  }

  private async runOnce(): Promise<void> {
    const { log } = this;
    const { observed } = this.parts;
    const { jobId } = log;
    const runId = `run-${String(++this.runs)}`;
    const { workflow } = observed;
    const data = { runId, workerId: WORKER, ...codeOf(workflow) };
    const start = { type: 'StartJob', at: this.now, data } as const;
    const { history } = await log.door.execute(
      new DecideJob(jobId, start, { commandId: `${jobId}:${runId}` }),
    );
    const lost = new AbortController();
    this.lost = lost;
    observed.hang = () => this.limits.hang();
    await this.refresh();
    try {
      const claim = { jobId, runId, workerId: WORKER, history };
      const signals = { lost: lost.signal, drain: NEVER, release: NEVER };
      await runJob(claim, workflow, this.services, signals);
    } finally {
      this.lost = null;
    }
  }

  private get services(): RunServices {
    return {
      door: this.log.door,
      logger: SILENT,
      clock: () => this.now,
      random: () => this.parts.jitter,
      timer: this.limits.timer,
      replayGraceMs: 0,
      progress: (_, percent, message) => {
        this.progressLines.push({ percent, message });
      },
    };
  }

  private isOver(at: string | null): boolean {
    return at !== null && Date.parse(at) <= this.time;
  }
}
