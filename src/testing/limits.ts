import type { Timer } from '../workers/step-call.ts';

type Limit = Readonly<{ due: number; over: () => void }>;

/** The times that steps and attempts may take, in a time that stands still but while one of them hangs. */
export class Limits {
  private readonly running = new Set<Limit>();

  constructor(
    private readonly now: () => number,
    private readonly moveTo: (time: number) => void,
  ) {}

  readonly timer: Timer = (ms, over) => {
    const limit = { due: this.now() + ms, over };
    this.running.add(limit);
    return () => {
      this.running.delete(limit);
    };
  };

  /** Lets the time pass until the first of them is over, and rejects then; at once when nothing would end the step. */
  hang(): Promise<never> {
    return new Promise((_, reject) => {
      // The step's own limit begins with the call that hangs.
      setImmediate(() => {
        const [first] = [...this.running].toSorted((a, b) => a.due - b.due);
        if (first === undefined) {
          reject(
            new Error(
              'The step hangs for ever: give it a timeoutMs, or the workflow timeouts.attemptMs',
            ),
          );
          return;
        }
        this.running.delete(first);
        this.moveTo(Math.max(this.now(), first.due));
        first.over();
        reject(new Error('Its time was over'));
      });
    });
  }
}
