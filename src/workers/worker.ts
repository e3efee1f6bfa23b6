import { QUEUES } from '../messaging/topology.ts';
import type { Disposition, IncomingMessage, Transport } from '../messaging/transport.ts';
import { backoffMs, pause } from '../platform/backoff.ts';
import type { Config } from '../platform/config.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { Workflow } from '../sdk/workflow.ts';
import type { Door } from '../write/door.ts';
import { linked, manyListeners, onAbort, orAborted, within } from './abort.ts';
import { ClaimUncertain, claimJob, giveBack } from './claim-job.ts';
import { Heartbeat, type Lease } from './heartbeat.ts';
import { type Hint, hintOf } from './hint.ts';
import { JobConsumer, returned } from './job-consumer.ts';
import { ProgressBoard } from './progress-board.ts';
import { type RunEnd, type RunServices, runJob } from './run-job.ts';
import type { Claim } from './run-reports.ts';
import { type JobNotices, RunningJobs } from './running-jobs.ts';
import { type ReleaseSlot, Slots } from './slots.ts';
import { catchStrayRejections } from './stray-rejections.ts';
import { codeOf } from './workflow-code.ts';

export type WorkerOptions = Readonly<{
  door: Door;
  transport: Pick<Transport, 'consume'>;
  workflows: ReadonlyMap<string, Workflow>;
  /** For the heartbeat and the progress. */
  database: Queryable;
  /** What takes jobs away, from the log: of the types in `LOSS_TYPES`. */
  notices: JobNotices;
  logger: Logger;
  config: Pick<Config, 'workerConcurrency' | 'leaseMs' | 'shutdownGraceMs'>;
  version: string;
  clock?: () => Date;
  /** For the metrics; must not throw. Code that ignored its signal was left behind. */
  onLeftBehind?: (workflow: string) => void;
  /** For the metrics; must not throw. */
  onRunEnd?: (run: Readonly<{ workflow: string; end: RunEnd; seconds: number }>) => void;
}>;

/** A hint for a workflow that is not here goes back so often, for a worker that has it; then it is dropped. */
const UNKNOWN_RETURNS = 2;

/** The clock of the database, by which a retry is due, may be so much ahead of ours: some 0.7 s. */
const EARLY_RETURNS = 3;

/** Claims that are on their way when a stop begins may take so long; then the lease ends them. */
const CLAIM_GRACE_MS = 2_000;

/** What of the grace is kept for giving back what still runs at its end. */
const RELEASE_MS = 2_000;

/** A cancellation is to be heard within a second. */
const WATCH_AGAIN_MS = 500;

/** What one claim is made under. */
type Claiming = Readonly<{ lease: Lease; signal: AbortSignal }>;

/**
 * Takes jobs, runs as many at a time as it may, and reports what happened. A hint is acknowledged as soon as the log
 * says whose the job is, so no delivery is held while a job runs. Loses nothing by being killed at any point.
 */
export class Worker {
  private readonly slots: Slots;
  private readonly jobs = new RunningJobs();
  private readonly heartbeat: Heartbeat;
  private readonly progress: ProgressBoard;
  private readonly unknownWorkflows = new Set<string>();
  private readonly stopped = manyListeners(new AbortController());

  constructor(private readonly options: WorkerOptions) {
    const { database, logger, config, version } = options;
    this.slots = new Slots(config.workerConcurrency);
    this.progress = new ProgressBoard(database, logger);
    this.heartbeat = new Heartbeat({
      database,
      logger,
      leaseMs: config.leaseMs,
      concurrency: config.workerConcurrency,
      running: () => this.jobs.size,
      version,
    });
  }

  /** Whether it is registered, and may take jobs. */
  isReady(): boolean {
    return this.heartbeat.lease !== null;
  }

  /** How many jobs run now. */
  get running(): number {
    return this.jobs.size;
  }

  /** Works until the signal aborts, then drains: what runs ends, or is given back, within the grace. */
  async run(signal: AbortSignal): Promise<void> {
    let stoppedAt = 0;
    onAbort(signal, () => {
      stoppedAt = performance.now();
      this.jobs.drain();
      this.heartbeat.drain();
    });
    const background = Promise.all([
      this.heartbeat.run(this.stopped.signal),
      this.progress.run(this.stopped.signal),
      this.watch(this.stopped.signal),
    ]);
    const letThrough = catchStrayRejections(this.options.logger);
    await this.consume(signal);
    await this.drain(stoppedAt);
    this.stopped.abort();
    await background;
    letThrough();
  }

  /** Under one lease after the other, until the signal aborts and no claim is on its way. */
  private async consume(signal: AbortSignal): Promise<void> {
    for (;;) {
      const lease = await this.heartbeat.whenHeld(signal);
      if (lease === null) return;
      const consuming = linked(signal, lease.lost);
      const claiming = linked(lease.lost);
      const consumer = this.consumer({ lease, signal: claiming.signal });
      const ended = Promise.all([
        consumer.run(QUEUES.resumedJobs, 'resumed', consuming.signal),
        consumer.run(QUEUES.jobs, 'new', consuming.signal),
      ]);
      await orAborted(ended, consuming.signal);
      if (!(await within(ended, Math.min(CLAIM_GRACE_MS, this.graceMs)))) claiming.abort();
      await ended;
      consuming.unlink();
      claiming.unlink();
    }
  }

  private consumer(claiming: Claiming): JobConsumer {
    const { transport, logger } = this.options;
    return new JobConsumer({
      transport,
      slots: this.slots,
      logger,
      sortOut: (message) => this.sortOut(message),
      take: (message, release) => this.take(message, release, claiming),
    });
  }

  private sortOut(message: IncomingMessage): Disposition | null {
    const hint = hintOf(message);
    if (hint === null) return { dead: 'No hint of a job: it needs a jobId, and a workflow as key' };
    if (this.options.workflows.has(hint.workflow)) return null;
    if (!this.unknownWorkflows.has(hint.workflow)) {
      this.unknownWorkflows.add(hint.workflow);
      this.options.logger.warn(
        hint,
        'this worker has no workflow of that name: its jobs are left to others, and wait if there are none',
      );
    }
    return message.deliveryCount < UNKNOWN_RETURNS ? 'retry' : 'ack';
  }

  private async take(
    message: IncomingMessage,
    release: ReleaseSlot,
    { lease, signal }: Claiming,
  ): Promise<Disposition> {
    // `sortOut` has seen that it is one.
    const { jobId, workflow: name, version } = hintOf(message) as Hint;
    const workflow = this.options.workflows.get(name);
    try {
      const { workerId } = lease;
      const code = workflow && codeOf(workflow);
      const claim = await claimJob(
        jobId,
        { ...this.options, workerId, jobVersion: version, ...(code && { code }) },
        signal,
      );
      if (typeof claim !== 'string') {
        void this.execute(claim, lease).finally(release);
        return 'ack';
      }
      release();
      return claim === 'job-not-due' && message.deliveryCount < EARLY_RETURNS ? 'retry' : 'ack';
    } catch (error) {
      release();
      if (!(error instanceof ClaimUncertain)) throw error;
      void this.giveBack(error, lease);
      return returned(message);
    }
  }

  /** Never rejects. */
  private async execute(claim: Claim, lease: Lease): Promise<void> {
    const { workflow: name } = claim.history.state.request;
    const begunAt = performance.now();
    let end: RunEnd | null = null;
    try {
      const workflow = this.options.workflows.get(name);
      if (workflow === undefined) throw new Error(`The hint hid that the workflow is "${name}"`);
      end = await this.jobs.run(claim, lease.lost, (signals) =>
        runJob(claim, workflow, this.services, signals),
      );
      const seconds = (performance.now() - begunAt) / 1_000;
      this.options.onRunEnd?.({ workflow: name, end, seconds });
    } catch (error) {
      this.options.logger.error(
        { err: error, jobId: claim.jobId },
        'a run ended with a fault of ours',
      );
    }
    this.progress.forget(claim.jobId);
    // No run of ours any more, and no word of it in the log: say so, or the job waits for the lease to end.
    if (end === null || (end === 'lost' && lease.lost.aborted)) void this.giveBack(claim, lease);
  }

  private giveBack(run: Pick<Claim, 'jobId' | 'runId'>, { workerId }: Lease): Promise<void> {
    return giveBack(run, { ...this.options, workerId }, this.stopped.signal);
  }

  private get services(): RunServices {
    return {
      ...this.options,
      progress: (jobId, percent, message) => {
        this.progress.show(jobId, percent, message);
      },
      steps: (run, steps) => {
        this.progress.showSteps(run, steps);
      },
    };
  }

  private async drain(stoppedAt: number): Promise<void> {
    const { logger } = this.options;
    const releaseMs = Math.min(RELEASE_MS, this.graceMs / 5);
    const idle = this.jobs.whenIdle();
    const leftMs = stoppedAt + this.graceMs - releaseMs - performance.now();
    if (await within(idle, Math.max(leftMs, 0))) return;
    logger.warn({ running: this.jobs.size }, 'the grace is over: giving back what still runs');
    this.jobs.release();
    if (await within(idle, releaseMs)) return;
    this.jobs.abandon(new Error('its worker stopped'));
  }

  /** Takes jobs away from runs as soon as the log does. */
  private async watch(signal: AbortSignal): Promise<void> {
    const { notices, logger } = this.options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        for await (const page of notices(signal)) {
          this.jobs.heed(page);
        }
      } catch (error) {
        logger.warn({ err: error }, 'cancellations are not heard for a moment');
      }
      await pause(backoffMs(failures, { maxMs: WATCH_AGAIN_MS }), signal);
    }
  }

  private get graceMs(): number {
    return this.options.config.shutdownGraceMs;
  }
}
