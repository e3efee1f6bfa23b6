import { AsyncLocalStorage } from 'node:async_hooks';

import type { Json } from '../events/event.ts';
import type { Wait } from '../events/job.ts';
import { NonRetriable } from '../sdk/errors.ts';
import type { SignalView, WaitOptions } from '../sdk/workflow.ts';
import { toKeptJson } from './kept-json.ts';
import { type Claim, LOST, type RunReports } from './run-reports.ts';
import { assertName, eventWait, signalView, sleepWait } from './waits.ts';

/** How the code of one run came to its end; the job may go on in another run. */
export type Ending =
  | Readonly<{ kind: 'completed'; result: Json }>
  | Readonly<{ kind: 'failed'; error: unknown }>
  | Readonly<{ kind: 'paused'; wait: Wait }>
  | Readonly<{ kind: 'released' }>
  | Readonly<{ kind: 'lost' }>;

/** An ending that waits until the steps under way are done and kept. The highest of several wins. */
type Held = Extract<Ending, { kind: 'failed' | 'released' | 'paused' }>;

const RANK = { paused: 1, released: 2, failed: 3 } as const satisfies Record<Held['kind'], number>;

/** Where the code that runs belongs to: the run, and the step in whose function it is, if any. */
const place = new AsyncLocalStorage<Readonly<{ run: JobRun; step: string | null }>>();

/** The run whose code this is. */
export const currentRun = (): JobRun | null => place.getStore()?.run ?? null;

/**
 * The boundaries of a workflow's code: each `step` and each wait is a place where a run may end and a later one
 * goes on. A run ends by leaving the promise of that place unsettled for ever, so no `catch` and no `finally` of
 * the workflow takes an ending for an error.
 */
export class JobRun {
  readonly ending: Promise<Ending>;
  private settle: (ending: Ending) => void = () => {};
  private over = false;
  private draining = false;
  private held: Held | null = null;
  private stepsUnderWay = 0;
  private parked = 0;
  private returned = false;
  private readonly stepNames = new Set<string>();
  private readonly occurrences = new Map<string, number>();
  private readonly onQuiet = new Set<() => void>();

  constructor(
    private readonly claim: Claim,
    private readonly reports: RunReports,
    private readonly clock: () => Date,
  ) {
    this.ending = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  get jobId(): string {
    return this.claim.jobId;
  }

  /** Runs the workflow's code; what comes of it is the `ending`. */
  start(run: () => Promise<unknown>): void {
    void this.runToEnd(run).finally(() => {
      this.returned = true;
      this.tellIfQuiet();
    });
  }

  /** From now on no step begins; the run ends when those under way are kept. */
  drain(): void {
    this.draining = true;
  }

  /** Fails the run for a rejection that nobody awaited; whether it was still there to fail. */
  failStray(error: unknown): boolean {
    if (this.over) return false;
    this.hold({ kind: 'failed', error });
    return true;
  }

  /** Ends the run now, whatever is under way. */
  endAtOnce(kind: 'released' | 'lost'): void {
    this.end(kind === 'released' && this.held?.kind === 'failed' ? this.held : { kind });
  }

  /** Resolves when none of the workflow's code is known to run any more. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.onQuiet.add(resolve);
      this.tellIfQuiet();
    });
  }

  readonly step = async <T>(name: string, run: () => T | Promise<T>): Promise<T> => {
    this.assertOutside(`ctx.step("${name}")`);
    if (this.over) return await this.park();
    try {
      this.assertNewStep(name);
    } catch (error) {
      return await this.fail(error);
    }
    const kept = this.reports.keptStep(name);
    // The log keeps JSON, so what a step gave is only as much a `T` as JSON lets it be.
    if (kept !== null) return kept.output as T;
    if (this.draining) this.hold({ kind: 'released' });
    if (this.held !== null && this.held.kind !== 'paused') return await this.park();
    const output = await this.underWay(() => this.runStep(name, run));
    return output === LOST ? await this.park() : (output as T);
  };

  readonly waitForEvent = async (
    event: string,
    options: WaitOptions = {},
  ): Promise<SignalView | null> => {
    this.assertOutside(`ctx.waitForEvent("${event}")`);
    if (this.over) return await this.park();
    const id = this.waitId('wait', event);
    const outcome = this.reports.keptWait(id);
    if (outcome !== null) return signalView(outcome);
    return await this.pause('waitForEvent', event, () =>
      eventWait(id, this.clock(), { ...options, event }),
    );
  };

  readonly sleep = async (name: string, delayMs: number): Promise<void> => {
    this.assertOutside(`ctx.sleep("${name}")`);
    if (this.over) return await this.park();
    const id = this.waitId('sleep', name);
    if (this.reports.keptWait(id) !== null) return;
    await this.pause('sleep', name, () => sleepWait(id, this.clock(), delayMs));
  };

  private async runToEnd(run: () => Promise<unknown>): Promise<void> {
    try {
      const returned = await place.run({ run: this, step: null }, run);
      const result = toKeptJson(returned, 'The result of the workflow');
      if (this.held?.kind !== 'failed') this.end({ kind: 'completed', result });
    } catch (error) {
      this.hold({ kind: 'failed', error });
    }
  }

  /** The id names the place in the code: the n-th wait of its name. */
  private waitId(kind: 'wait' | 'sleep', name: string): string {
    const base = `${kind}:${name}`;
    const occurrence = this.occurrences.get(base) ?? 0;
    this.occurrences.set(base, occurrence + 1);
    return `${base}#${String(occurrence)}`;
  }

  /** Runs the step's function and keeps its result. `LOST`: the run is over, and the code goes no further. */
  private async runStep<T>(name: string, run: () => T | Promise<T>): Promise<Json | typeof LOST> {
    const startedAt = this.clock().toISOString();
    try {
      const returned = await place.run({ run: this, step: name }, async () => await run());
      const output = toKeptJson(returned, `What step "${name}" returned`);
      if (!this.over) await this.keepStep({ name, output, startedAt });
      return this.over ? LOST : output;
    } catch (error) {
      if (this.over) return LOST;
      throw error;
    }
  }

  private async keepStep(
    step: Readonly<{ name: string; output: Json; startedAt: string }>,
  ): Promise<void> {
    const { runId } = this.claim;
    try {
      const data = { runId, ...step };
      const kept = await this.reports.report({ type: 'CompleteStep', at: this.clock(), data });
      if (kept === LOST) this.end({ kind: 'lost' });
    } catch (error) {
      // The step was done and nobody will know: no `catch` of the workflow may go on from here.
      this.end({ kind: 'failed', error });
    }
  }

  private async underWay<T>(work: () => Promise<T>): Promise<T> {
    this.stepsUnderWay++;
    try {
      return await work();
    } finally {
      this.stepsUnderWay--;
      this.endIfIdle();
      this.tellIfQuiet();
    }
  }

  private pause(call: string, name: unknown, wait: () => Wait): Promise<never> {
    try {
      assertName(name, `The name of ${call}`);
      if (this.held?.kind === 'paused') throw twoWaits(this.held.wait.id, call, name);
      this.hold({ kind: 'paused', wait: wait() });
    } catch (error) {
      return this.fail(error);
    }
    return this.park();
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
    this.end({ kind: 'failed', error });
    throw error;
  }

  /** Fails the run whatever the workflow's `catch` blocks would make of the error. */
  private fail(error: unknown): Promise<never> {
    this.hold({ kind: 'failed', error });
    return this.park();
  }

  private hold(ending: Held): void {
    if (this.held === null || RANK[ending.kind] > RANK[this.held.kind]) this.held = ending;
    this.endIfIdle();
  }

  /** Lets the code that a finished step woke go on as far as it can, for it may begin another step. */
  private endIfIdle(): void {
    if (this.over || this.held === null) return;
    setImmediate(() => {
      if (this.held !== null && this.stepsUnderWay === 0) this.end(this.held);
    });
  }

  private end(ending: Ending): void {
    if (this.over) return;
    this.over = true;
    this.settle(ending);
  }

  /** A promise that never settles; a new one each time, for one that all await would keep them all in memory. */
  private park(): Promise<never> {
    this.parked++;
    this.tellIfQuiet();
    return new Promise(() => {});
  }

  private tellIfQuiet(): void {
    if (this.stepsUnderWay > 0 || (this.parked === 0 && !this.returned)) return;
    for (const resolve of this.onQuiet) resolve();
    this.onQuiet.clear();
  }
}

const twoWaits = (waitId: string, call: string, name: string): NonRetriable =>
  new NonRetriable(
    `ctx.${call}("${name}") begins while "${waitId}" still waits: a job waits for one thing at a time, so await them one after the other (a signal that came early is found)`,
  );
