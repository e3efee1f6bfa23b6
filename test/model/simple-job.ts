import assert from 'node:assert/strict';

import type { Recorded } from '../../src/events/event.ts';
import type { JobEvent, JobRequest, Wait } from '../../src/events/job.ts';
import { type Node, hasOwnTries } from './scripted.ts';

export type Status =
  | 'REQUESTED'
  | 'RUNNING'
  | 'PAUSED'
  | 'RESUMED'
  | 'RETRYING'
  | 'COMPLETED'
  | 'FAILED'
  | 'CANCELLED'
  | 'SUPERSEDED';

const ENDS: ReadonlySet<Status> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'SUPERSEDED']);

type Of<T extends JobEvent['type']> = Recorded<Extract<JobEvent, { type: T }>>;

/** What came about at one place of the script, in the order in which it did. */
type Done = Readonly<{ key: string; gave: unknown; failed: boolean }>;

/** A job as simple as can be: what its events say so far, and which ones may come next. */
export class SimpleJob {
  status: Status = 'REQUESTED';
  attempt = 1;
  version = 1;
  run: Readonly<{ id: string; workerId: string }> | null = null;
  wait: Wait | null = null;
  dueAt: number | null = null;
  deadline: number | null;
  done: Done[] = [];
  tries = new Map<string, number>();
  readonly usedSignals = new Set<string>();
  readonly request: JobRequest;
  readonly requestedAt: bigint;
  lineAt: bigint;
  private readonly runs = new Set<string>();

  constructor(
    readonly id: string,
    requested: Of<'JobRequested'>,
  ) {
    this.request = requested.data;
    this.requestedAt = requested.position;
    this.lineAt = requested.position;
    this.deadline = this.deadlineFrom(requested.at);
  }

  get isOpen(): boolean {
    return !ENDS.has(this.status);
  }

  get isLastAttempt(): boolean {
    return this.attempt >= this.request.retry.maxAttempts;
  }

  get line(): string | null {
    return this.request.concurrency?.key ?? null;
  }

  /** How many jobs of its line may be open before it. */
  get room(): number {
    const { concurrency } = this.request;
    if (concurrency?.strategy === 'limit') return concurrency.limit;
    return concurrency?.strategy === 'queue' ? 1 : Infinity;
  }

  has(step: string): boolean {
    return this.done.some(({ key }) => key === `step:${step}`);
  }

  /** A worker may take it now, as far as it alone goes. */
  isTakeable(now: number): boolean {
    if (this.status === 'RETRYING') return this.dueAt !== null && this.dueAt <= now;
    return this.status === 'REQUESTED' || this.status === 'RESUMED';
  }

  /** What is kept of a step. */
  gave(step: string): unknown {
    return this.done.find(({ key }) => key === `step:${step}`)?.gave;
  }

  /** What the workflow gives when all places of its script are done. */
  get result(): readonly unknown[] {
    const waits = this.done.filter(({ key }) => !key.startsWith('step:'));
    const { script } = this.request.input as unknown as { script: readonly Node[] };
    return script.map(({ kind }, place) => {
      if (kind === 'step') return this.gave(`s${String(place)}`);
      if (kind === 'own-tries') return this.gave(`own${String(place)}`);
      if (kind === 'parallel')
        return [this.gave(`s${String(place)}a`), this.gave(`s${String(place)}b`)];
      return waits.shift()?.gave;
    });
  }

  /** Follows an event, and fails if it is one that must not come now. */
  follow(event: Recorded<JobEvent>, now: number): void {
    this.version++;
    assert.equal(event.version, this.version);
    // TypeScript cannot see that `this[event.type]` takes exactly `event`.
    (this[event.type] as (event: Recorded<JobEvent>, now: number) => void)(event, now);
  }

  private JobRequested(): void {
    assert.fail(`${this.id} is requested twice`);
  }

  private JobStarted({ data }: Of<'JobStarted'>, now: number): void {
    assert.ok(this.isTakeable(now), `${this.id} starts while ${this.status}`);
    assert.ok(!this.runs.has(data.runId));
    assert.equal(data.attempt, this.attempt);
    assert.ok(data.attempt <= this.request.retry.maxAttempts);
    this.runs.add(data.runId);
    this.run = { id: data.runId, workerId: data.workerId };
    this.status = 'RUNNING';
    this.dueAt = null;
  }

  private JobStepCompleted({ data }: Of<'JobStepCompleted'>): void {
    this.assertSpeaks(data);
    assert.ok(!this.has(data.name), `step ${data.name} is kept twice`);
    this.done.push({ key: `step:${data.name}`, gave: data.output, failed: false });
  }

  private JobStepFailed({ data }: Of<'JobStepFailed'>): void {
    this.assertSpeaks(data);
    assert.ok(!this.has(data.name), `step ${data.name} is kept twice`);
    assert.ok(hasOwnTries(data.name));
    assert.equal(data.tries, (this.tries.get(data.name) ?? 0) + 1);
    this.done.push({ key: `step:${data.name}`, gave: null, failed: true });
  }

  private JobPaused({ data }: Of<'JobPaused'>): void {
    this.assertSpeaks(data);
    assert.ok(!this.done.map(({ key }) => key).includes(data.wait.id));
    this.leave('PAUSED');
    this.wait = data.wait;
  }

  private JobResumed({ data: { waitId, outcome } }: Of<'JobResumed'>, now: number): void {
    assert.equal(this.status, 'PAUSED');
    assert.equal(waitId, this.wait?.id);
    const until = this.wait?.until ?? null;
    if (outcome.kind === 'timeout') {
      assert.ok(until !== null && Date.parse(until) <= now, 'its wait is over');
    }
    if (outcome.kind === 'signal') {
      assert.ok(!this.usedSignals.has(outcome.signalId));
      this.usedSignals.add(outcome.signalId);
    }
    const isSleep = this.wait?.kind === 'sleep';
    const gave = isSleep ? 'slept' : outcome.kind === 'timeout' ? 'timeout' : outcome.payload;
    this.done.push({ key: waitId, gave, failed: false });
    this.status = 'RESUMED';
    this.wait = null;
  }

  private JobAttemptFailed({ data }: Of<'JobAttemptFailed'>): void {
    this.assertSpeaks(data);
    this.leave('RETRYING');
    this.dueAt = Date.parse(data.nextAttemptAt);
    if (data.stepTries === undefined) {
      assert.ok(!this.isLastAttempt, 'it has attempts left');
      this.attempt++;
    }
    for (const [step, tries] of Object.entries(data.stepTries ?? {})) {
      assert.equal(tries, (this.tries.get(step) ?? 0) + 1);
      this.tries.set(step, tries);
    }
  }

  private JobInterrupted({ data }: Of<'JobInterrupted'>): void {
    this.assertSpeaks(data);
    this.leave(data.reason === 'released' ? 'REQUESTED' : 'RETRYING');
    if (data.reason === 'released') return;
    this.dueAt = Date.parse(data.nextAttemptAt);
    this.attempt++;
  }

  private JobCompleted({ data }: Of<'JobCompleted'>): void {
    this.assertSpeaks(data);
    assert.deepEqual(data.result, this.result);
    this.leave('COMPLETED');
  }

  private JobFailed({ data, at }: Of<'JobFailed'>): void {
    const { maxAttempts } = this.request.retry;
    assert.ok(this.isOpen, 'it is open');
    assert.ok(data.attempt <= maxAttempts);
    if (data.error.name === 'JobTimeout') {
      assert.ok(this.deadline !== null && this.deadline <= at.getTime());
    } else if (data.error.classification === 'interrupted') {
      assert.equal(this.attempt, maxAttempts + 1);
    } else {
      assert.equal(this.status, 'RUNNING');
      if (data.error.classification !== 'permanent') assert.ok(this.isLastAttempt);
    }
    this.leave('FAILED');
  }

  private JobCancelled(): void {
    assert.ok(this.isOpen, 'it is open');
    this.leave('CANCELLED');
  }

  private JobSuperseded(): void {
    assert.ok(this.isOpen, 'it is open');
    assert.equal(this.request.concurrency?.strategy, 'supersede');
    this.leave('SUPERSEDED');
  }

  private JobRetryRequested({ data: { fromStep }, at, position }: Of<'JobRetryRequested'>): void {
    assert.ok(!(this.isOpen && this.status !== 'RETRYING'), `retried while ${this.status}`);
    assert.notEqual(this.status, 'SUPERSEDED');
    this.done = this.kept(fromStep);
    if (!this.isOpen) this.lineAt = position;
    this.leave('REQUESTED');
    this.attempt = 1;
    this.tries = new Map();
    this.deadline = this.deadlineFrom(at);
  }

  private kept(fromStep: string | null): Done[] {
    if (fromStep !== null) {
      const place = this.done.findIndex(({ key }) => key === `step:${fromStep}`);
      assert.ok(place >= 0, `${fromStep} was done`);
      return this.done.slice(0, place);
    }
    return this.status === 'COMPLETED' ? [] : this.done.filter(({ failed }) => !failed);
  }

  private leave(status: Status): void {
    this.status = status;
    this.run = null;
    this.wait = null;
    this.dueAt = null;
  }

  /** Only the run that has the job speaks for it, and of the attempt that it is in. */
  private assertSpeaks({ runId, attempt }: Readonly<{ runId: string; attempt: number }>): void {
    assert.equal(this.status, 'RUNNING');
    assert.equal(runId, this.run?.id);
    assert.equal(attempt, this.attempt);
  }

  private deadlineFrom(at: Date): number | null {
    const { timeoutMs } = this.request;
    return timeoutMs === undefined ? null : at.getTime() + timeoutMs;
  }
}
