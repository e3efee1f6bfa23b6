import assert from 'node:assert/strict';

import type { Recorded } from '../../src/events/event.ts';
import { type JobView, evolveJobView } from '../../src/events/job-view.ts';
import { type JobEvent, isJobEvent } from '../../src/events/job.ts';
import { isAwaited } from '../../src/events/payload-match.ts';
import type { SignalEvent } from '../../src/events/signal.ts';
import { SimpleJob } from './simple-job.ts';
import type { PendingStep, World } from './world.ts';

/** All jobs and signals, as simple as can be. It follows the log, and fails at the first event that must not be there. */
export class SimpleModel {
  readonly jobs = new Map<string, SimpleJob>();
  readonly signals: Recorded<SignalEvent>[] = [];
  private readonly views = new Map<string, JobView>();
  private position = 0n;

  get open(): readonly SimpleJob[] {
    return [...this.jobs.values()].filter(({ isOpen }) => isOpen);
  }

  job(id: string): SimpleJob {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`No job ${id}`);
    return job;
  }

  /** A step's function begins: one that is kept must not. */
  begin({ jobId, name }: PendingStep): void {
    const job = this.job(jobId);
    assert.ok(!job.has(name), `step ${name} of ${jobId} is kept, and runs again`);
  }

  /** Follows what was added to the log; gives it. */
  async follow(world: World): Promise<readonly Recorded[]> {
    const events = await world.store.readAll({ after: this.position, limit: 100_000 });
    for (const event of events) {
      assert.equal(event.position, ++this.position);
      if (isJobEvent(event)) this.followJob(event, world.now);
      else this.signals.push(event as Recorded<SignalEvent>);
    }
    this.assertRunsGoOn(world);
    return events;
  }

  /** Jobs of its line that are open and before it. */
  before(job: SimpleJob): readonly SimpleJob[] {
    if (job.line === null) return [];
    return this.open.filter(({ line, lineAt }) => line === job.line && lineAt < job.lineAt);
  }

  hasTurn(job: SimpleJob): boolean {
    return this.before(job).length < job.room;
  }

  /** The newest job of its line that is open and newer than it, where the newest supersedes. */
  heir(job: SimpleJob): SimpleJob | null {
    if (job.request.concurrency?.strategy !== 'supersede') return null;
    return (
      this.open.findLast((o) => o.line === job.line && o.requestedAt > job.requestedAt) ?? null
    );
  }

  /** The oldest signal that ends its wait. */
  signalFor({ wait, usedSignals, requestedAt }: SimpleJob): Recorded<SignalEvent> | undefined {
    return this.signals.find(
      ({ streamId, position, data }) =>
        position > requestedAt &&
        !usedSignals.has(streamId) &&
        wait !== null &&
        isAwaited(wait.on, data),
    );
  }

  private followJob(event: Recorded<JobEvent>, now: number): void {
    const id = event.streamId;
    const view = evolveJobView(this.views.get(id) ?? null, event);
    this.views.set(id, view);
    const known = this.jobs.get(id);
    if (known === undefined) {
      if (event.type !== 'JobRequested') assert.fail(`${id} begins with ${event.type}`);
      this.jobs.set(id, new SimpleJob(id, event));
      return;
    }
    this.assertAmongOthers(known, event);
    known.follow(event, now);
    this.assertLines();
    assert.deepEqual(shown(view), shownAs(known));
  }

  /** What an event must be because of other jobs and signals. */
  private assertAmongOthers(job: SimpleJob, event: Recorded<JobEvent>): void {
    if (event.type === 'JobStarted') {
      assert.ok(this.hasTurn(job), `${job.id} starts out of turn`);
    }
    if (event.type === 'JobSuperseded') {
      const by = this.job(event.data.by);
      assert.equal(by.line, job.line);
      assert.ok(by.requestedAt > job.requestedAt);
    }
    if (event.type === 'JobResumed' && event.data.outcome.kind === 'signal') {
      const { signalId } = event.data.outcome;
      const signal = this.signals.find(({ streamId }) => streamId === signalId);
      assert.ok(signal !== undefined && signal.position > job.requestedAt);
      assert.ok(job.wait !== null && isAwaited(job.wait.on, signal.data));
    }
  }

  /** In no line run more jobs than may. */
  private assertLines(): void {
    const running = [...this.jobs.values()].filter(({ status }) => status === 'RUNNING');
    for (const { id, line, room } of running) {
      const inLine = running.filter((other) => other.line === line && line !== null);
      assert.ok(inLine.length <= room, `so many run beside ${id}`);
    }
  }

  /** A run of a worker that is there has a step under way, or it would have come to its end. */
  private assertRunsGoOn(world: World): void {
    for (const { id, status, run } of this.jobs.values()) {
      if (status !== 'RUNNING' || run === null || world.isGone(run.workerId)) continue;
      const steps = world.pending.filter(({ runId }) => runId === run.id);
      assert.ok(steps.length > 0, `steps under way of ${id}`);
    }
  }
}

const shown = ({ status, version, steps }: JobView): object => ({
  status,
  version,
  steps: steps
    .filter((step) => step.status === 'COMPLETED')
    .map(({ name }) => name)
    .toSorted(),
});

const shownAs = ({ status, version, done }: SimpleJob): object => ({
  status: status === 'RESUMED' ? 'PAUSED' : status,
  version,
  steps: done
    .filter(({ key, failed }) => key.startsWith('step:') && !failed)
    .map(({ key }) => key.slice('step:'.length))
    .toSorted(),
});
