import type { Json } from '../events/event.ts';
import type { StepPlace, Wait } from '../events/job.ts';
import type { FailedStep } from '../write/job/commands.ts';

/** How the code of one run came to its end; the job may go on in another run. */
export type Ending =
  | Readonly<{ kind: 'completed'; result: Json }>
  | Failed
  | Readonly<{ kind: 'paused'; wait: Wait }>
  | Readonly<{ kind: 'released' }>
  | Readonly<{ kind: 'lost' }>;

type Failed = Readonly<{
  kind: 'failed';
  error: unknown;
  /** The step whose error it is. */
  step?: StepPlace;
  /** Steps that failed and have tries of their own left: the attempt has not failed. */
  steps?: readonly FailedStep[];
}>;

/** An ending that waits until the steps under way are done and kept. The highest of several wins. */
type Held = Extract<Ending, { kind: 'failed' | 'released' | 'paused' }>;

/**
 * From the start of a run's code to its end, which may be held back until the steps under way are kept. A run ends by
 * leaving the promise of the place where it stands unsettled for ever, so no `catch` and no `finally` of the workflow
 * takes an ending for an error.
 */
export class RunCourse {
  readonly ending: Promise<Ending>;
  private settle: (ending: Ending) => void = () => {};
  private ended = false;
  private heldBack: Held | null = null;
  private stepsUnderWay = 0;
  private left = 0;
  private parked = 0;
  private returned = false;
  private readonly onQuiet = new Set<() => void>();

  constructor() {
    this.ending = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  get isOver(): boolean {
    return this.ended;
  }

  get held(): Held | null {
    return this.heldBack;
  }

  /** Whether nothing new may begin: only a pause lets the code beside it go on. */
  get isStopping(): boolean {
    return this.heldBack !== null && this.heldBack.kind !== 'paused';
  }

  /** Runs the workflow's code, which ends the run by itself. */
  start(run: () => Promise<void>): void {
    void run().finally(() => {
      this.returned = true;
      this.tellIfQuiet();
    });
  }

  /** Ends the run as soon as no step is under way. */
  hold(ending: Held): void {
    this.heldBack = this.heldBack === null ? ending : stronger(this.heldBack, ending);
    this.endIfIdle();
  }

  /** Ends the run now, whatever is under way. */
  end(ending: Ending): void {
    if (this.ended) return;
    this.ended = true;
    this.settle(ending);
  }

  /** Fails the run whatever the workflow's `catch` blocks would make of the error. */
  fail(error: unknown): Promise<never> {
    this.hold({ kind: 'failed', error });
    return this.park();
  }

  /** A promise that never settles; a new one each time, for one that all await would keep them all in memory. */
  park(): Promise<never> {
    this.parked++;
    this.tellIfQuiet();
    return new Promise(() => {});
  }

  /** No held ending comes before the work is done. */
  async underWay<T>(work: () => Promise<T>): Promise<T> {
    this.stepsUnderWay++;
    try {
      return await work();
    } finally {
      this.stepsUnderWay--;
      this.endIfIdle();
      this.tellIfQuiet();
    }
  }

  /** Code that goes on though nobody waits for it any more: the run is not quiet before it ends. */
  leaveBehind(work: Promise<unknown>): void {
    this.left++;
    const ended = (): void => {
      this.left--;
      this.tellIfQuiet();
    };
    work.then(ended, ended);
  }

  /** Resolves when none of the workflow's code is known to run any more. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.onQuiet.add(resolve);
      this.tellIfQuiet();
    });
  }

  /** Lets the code that a finished step woke go on as far as it can, for it may begin another step. */
  private endIfIdle(): void {
    if (this.ended || this.heldBack === null) return;
    setImmediate(() => {
      if (this.heldBack !== null && this.stepsUnderWay === 0) this.end(this.heldBack);
    });
  }

  private tellIfQuiet(): void {
    if (this.stepsUnderWay > 0 || this.left > 0 || (this.parked === 0 && !this.returned)) return;
    for (const resolve of this.onQuiet) resolve();
    this.onQuiet.clear();
  }
}

function stronger(held: Held, next: Held): Held {
  if (rank(next) > rank(held)) return next;
  if (isOfSteps(held) && isOfSteps(next)) return { ...held, steps: [...held.steps, ...next.steps] };
  return held;
}

/** Whether it is the failure of steps that will be tried again. */
export const isOfSteps = (
  ending: Ending,
): ending is Failed & Readonly<{ steps: readonly FailedStep[] }> =>
  ending.kind === 'failed' && ending.steps !== undefined;

function rank(held: Held): number {
  if (isOfSteps(held)) return 3;
  return { paused: 1, released: 2, failed: 4 }[held.kind];
}
