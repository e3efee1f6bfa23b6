import { AsyncLocalStorage } from 'node:async_hooks';

import type { Json } from '../events/event.ts';
import type { StepPlace } from '../events/job.ts';
import type { StepCall, StepOptions } from '../sdk/context.ts';
import { NonRetriable, StepFailed } from '../sdk/errors.ts';
import { type JobCommand, stepKey } from '../write/job/commands.ts';
import { classify } from './failure.ts';
import { toKeptJson } from './kept-json.ts';
import type { Replay } from './replay.ts';
import { RunCourse, isOfSteps } from './run-course.ts';
import { type Claim, LOST, type RunReports } from './run-reports.ts';
import { type StepPolicy, type Timer, limited, outOfTime, stepPolicy } from './step-call.ts';
import { type WaitPlan, assertName } from './waits.ts';

/** Where the code that runs belongs to: the run, and the step in whose function it is, if any. */
const place = new AsyncLocalStorage<Readonly<{ run: JobRun; step: string | null }>>();

/** The run whose code this is. */
export const currentRun = (): JobRun | null => place.getStore()?.run ?? null;

export type JobRunParts = Readonly<{
  claim: Claim;
  reports: RunReports;
  replay: Replay;
  clock: () => Date;
  timer: Timer;
  /** Aborts when the run is over. */
  signal: AbortSignal;
  /** Told which steps run now, each time that one begins or ends. */
  onSteps: (steps: readonly StepPlace[]) => void;
}>;

/** What a step's function came to. `LOST`: the code goes no further in this run. */
type StepEnd = Json | typeof LOST;

/**
 * The boundaries of a workflow's code: each `step` and each wait is a place where a run may end and a later one
 * goes on.
 */
export class JobRun {
  private readonly course = new RunCourse();
  private draining = false;
  private waitingFor: string | null = null;
  private readonly stepNames = new Set<string>();
  private readonly occurrences = new Map<string, number>();
  private readonly running = new Map<string, StepPlace>();
  /** The steps whose functions threw these. */
  private readonly thrownBy = new WeakMap<object, StepPlace>();

  constructor(private readonly parts: JobRunParts) {}

  get jobId(): string {
    return this.parts.claim.jobId;
  }

  get ending(): RunCourse['ending'] {
    return this.course.ending;
  }

  /** Runs the workflow's code; what comes of it is the `ending`. */
  start(run: () => Promise<unknown>): void {
    this.course.start(() => this.runToEnd(run));
  }

  /** From now on no step begins; the run ends when those under way are kept. */
  drain(): void {
    this.draining = true;
  }

  /** Fails the run for a rejection that nobody awaited; whether it was still there to fail. */
  failStray(error: unknown): boolean {
    if (this.course.isOver) return false;
    this.course.hold({ kind: 'failed', error });
    return true;
  }

  /** Ends the run now, whatever is under way. */
  endAtOnce(kind: 'released' | 'lost'): void {
    const { held } = this.course;
    this.course.end(kind === 'released' && held?.kind === 'failed' ? held : { kind });
  }

  /** Fails the run now for having taken too long, whatever is under way. */
  timeOut(timeoutMs: number): void {
    const [step] = this.running.values();
    const at = step === undefined ? '' : ` (step "${step.name}" was under way)`;
    const error = outOfTime(`The attempt${at}`, timeoutMs);
    this.course.end({ kind: 'failed', error, ...(step === undefined ? {} : { step }) });
  }

  /** Resolves when none of the workflow's code is known to run any more. */
  quiet(): Promise<void> {
    return this.course.quiet();
  }

  readonly step = async <T>(
    name: string,
    run: (call: StepCall) => T | Promise<T>,
    options: StepOptions = {},
  ): Promise<T> => {
    const { course } = this;
    this.assertOutside(`ctx.step("${name}")`);
    if (course.isOver) return await course.park();
    let policy: StepPolicy;
    try {
      this.assertNewStep(name);
      policy = stepPolicy(name, options);
    } catch (error) {
      return await course.fail(error);
    }
    const kept = this.parts.replay.ask(stepKey(name));
    // The log keeps JSON, so what a step gave is only as much a `T` as JSON lets it be.
    if (kept?.kind === 'step') return kept.output as T;
    if (kept?.kind === 'failed-step') throw new StepFailed(name, kept.error, kept.tries);
    const output = await course.underWay(() => this.newStep(name, run, policy));
    return output === LOST ? await course.park() : (output as T);
  };

  readonly wait = async <T>({ call, kind, name, make, read }: WaitPlan<T>): Promise<T> => {
    const { course, parts } = this;
    this.assertOutside(`ctx.${call}("${name}")`);
    if (course.isOver) return await course.park();
    const id = this.waitId(`${kind}:${name}`);
    const kept = parts.replay.ask(id);
    if (kept?.kind === 'wait') return read(kept.outcome);
    try {
      assertName(name, `The name of ${call}`);
      if (this.waitingFor !== null) throw twoWaits(this.waitingFor, call, name);
      this.waitingFor = id;
      const wait = make(id, parts.clock());
      if (!parts.replay.isComplete) {
        await course.underWay(() => parts.replay.assertFollowed(`${kind} "${name}"`));
      }
      course.hold({ kind: 'paused', wait });
    } catch (error) {
      return await course.fail(error);
    }
    return await course.park();
  };

  private async runToEnd(run: () => Promise<unknown>): Promise<void> {
    const { course } = this;
    try {
      const returned = await place.run({ run: this, step: null }, run);
      const result = toKeptJson(returned, 'The result of the workflow');
      this.parts.replay.assertComplete('its end');
      const { held } = course;
      if (held?.kind !== 'failed' || isOfSteps(held)) course.end({ kind: 'completed', result });
    } catch (error) {
      const step =
        typeof error === 'object' && error !== null ? this.thrownBy.get(error) : undefined;
      course.hold({ kind: 'failed', error, ...(step === undefined ? {} : { step }) });
    }
  }

  /** The id names the place in the code: the n-th wait of its name. */
  private waitId(base: string): string {
    const occurrence = this.occurrences.get(base) ?? 0;
    this.occurrences.set(base, occurrence + 1);
    return `${base}#${String(occurrence)}`;
  }

  private async newStep(
    name: string,
    run: (call: StepCall) => unknown,
    policy: StepPolicy,
  ): Promise<StepEnd> {
    const { replay, clock } = this.parts;
    if (this.draining) this.course.hold({ kind: 'released' });
    if (this.course.isStopping) return LOST;
    try {
      if (!replay.isComplete) await replay.assertFollowed(`step "${name}"`);
    } catch (error) {
      this.course.hold({ kind: 'failed', error });
    }
    if (this.course.isOver || this.course.isStopping) return LOST;
    const step = { name, startedAt: clock().toISOString() };
    this.running.set(name, step);
    this.parts.onSteps([...this.running.values()]);
    try {
      return await this.runStep(step, run, policy);
    } finally {
      this.running.delete(name);
      this.parts.onSteps([...this.running.values()]);
    }
  }

  /** Runs the step's function and keeps what it came to. */
  private async runStep(
    step: StepPlace,
    run: (call: StepCall) => unknown,
    { retry, timeoutMs }: StepPolicy,
  ): Promise<StepEnd> {
    const { name } = step;
    const { runId } = this.parts.claim;
    try {
      const work = (call: StepCall): Promise<unknown> =>
        place.run({ run: this, step: name }, async () => await run(call));
      const returned = await limited(work, {
        ...this.parts,
        name,
        timeoutMs,
        onLeft: (left) => {
          this.course.leaveBehind(left);
        },
      });
      const output = toKeptJson(returned, `What step "${name}" returned`);
      const at = this.parts.clock();
      await this.keep({ type: 'CompleteStep', at, data: { runId, ...step, output } });
      return this.course.isOver ? LOST : output;
    } catch (error) {
      if (this.course.isOver) return LOST;
      if (retry !== null) return await this.failed(step, error, retry);
      if (typeof error === 'object' && error !== null) this.thrownBy.set(error, step);
      throw error;
    }
  }

  /** Lets the step be tried again in another run; throws when it has failed for good. */
  private async failed(
    step: StepPlace,
    thrown: unknown,
    retry: NonNullable<StepPolicy['retry']>,
  ): Promise<StepEnd> {
    const { claim, clock } = this.parts;
    const { name } = step;
    const { error, retryAfterMs } = classify(thrown);
    const tries = (claim.history.state.stepTries.get(name) ?? 0) + 1;
    if (error.classification !== 'permanent' && tries < retry.maxAttempts) {
      const steps = [{ name, retry, retryAfterMs }];
      this.course.hold({ kind: 'failed', error: thrown, step, steps });
      return LOST;
    }
    const { runId } = claim;
    await this.keep({ type: 'FailStep', at: clock(), data: { runId, ...step, error } });
    if (this.course.isOver) return LOST;
    throw new StepFailed(name, error, tries);
  }

  private async keep(command: JobCommand): Promise<void> {
    if (this.course.isOver) return;
    try {
      const kept = await this.parts.reports.report(command);
      if (kept === LOST) this.course.end({ kind: 'lost' });
    } catch (error) {
      // The step was done and nobody will know: no `catch` of the workflow may go on from here.
      this.course.end({ kind: 'failed', error });
    }
  }

  private assertNewStep(name: string): void {
    assertName(name, 'The name of a step');
    if (this.stepNames.has(name)) {
      throw new NonRetriable(
        `Two steps are named "${name}": a step's result is found by its name, so give each its own, in a loop with an index`,
      );
    }
    this.stepNames.add(name);
  }

  /** Ends the run and throws: a step that waited for a boundary inside of it would never be done. */
  private assertOutside(call: string): void {
    const step = place.getStore()?.step ?? null;
    if (step === null) return;
    const error = new NonRetriable(
      `Step "${step}" calls ${call}: a step runs as a whole, so move the call out of it`,
    );
    this.course.end({ kind: 'failed', error });
    throw error;
  }
}

const twoWaits = (waitId: string, call: string, name: string): NonRetriable =>
  new NonRetriable(
    `ctx.${call}("${name}") begins while "${waitId}" still waits: a job waits for one thing at a time, so await them one after the other (a signal that came early is found), or several with ctx.waitForAny`,
  );
