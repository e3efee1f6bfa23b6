import type {
  JsonValue,
  StepCall,
  Trigger,
  WaitOptions,
  Workflow,
  WorkflowContext,
} from '../../../src/sdk/index.ts';
import {
  type AnalyserOptions,
  createAnalyser,
} from '../../../src/workflows/code-review/ast-analyser.ts';
import { createCodeReview } from '../../../src/workflows/index.ts';

type Change = Readonly<{
  cloneUrl: string;
  headSha: string;
  baseSha?: string | null;
  provider?: string;
  ref?: string | null;
  baseBranch?: string | null;
  fullName?: string;
  headRepository?: string | null;
  number?: number;
}>;

export const triggerOf = (change: Change): Trigger => ({
  provider: change.provider ?? 'github',
  source: 'github',
  deliveryId: 'd-1',
  event: 'pull_request',
  action: 'opened',
  repository: {
    fullName: change.fullName ?? 'acme/shop',
    url: null,
    cloneUrl: change.cloneUrl,
  },
  pullRequest: {
    number: change.number ?? 7,
    title: 'A change',
    url: null,
    headRepository: change.headRepository ?? change.fullName ?? 'acme/shop',
    baseBranch: change.baseBranch === undefined ? 'main' : change.baseBranch,
    baseSha: change.baseSha ?? null,
  },
  ref: change.ref === undefined ? 'feature' : change.ref,
  headSha: change.headSha,
  baseSha: change.baseSha ?? null,
  sender: 'ada',
});

export type Review = Readonly<{
  repository: string;
  baseSha: string;
  headSha: string;
  filesChanged: number;
  filesAnalysed: number;
  findings: readonly Readonly<{
    file: string;
    line: number;
    column: number;
    rule: string;
    severity: string;
    message: string;
  }>[];
  skipped?: readonly Readonly<{ file: string; reason: string }>[];
  truncated?: Readonly<{ files: number; findings: number }>;
}>;

/** What a job remembers between its runs: the real engine keeps it in the log. */
export class FakeJob {
  readonly steps = new Map<string, unknown>();
  readonly answers: (JsonValue | null)[] = [];
  readonly requests: (WaitOptions & { event: string })[] = [];
  /** From 1 to 5. */
  attempt = 1;
  readonly #abort = new AbortController();

  constructor(
    readonly trigger: Trigger,
    /** What answers a wait; null is a timeout. */
    private readonly answer: (body: JsonValue) => Promise<JsonValue | null>,
  ) {}

  cancel(): void {
    this.#abort.abort(new Error('cancelled'));
  }

  /** One run from the start: what is kept is not done again. */
  async run(workflow: Workflow): Promise<Review> {
    return JSON.parse(JSON.stringify(await workflow.run(this.#context()))) as Review;
  }

  #context(): WorkflowContext {
    const silent = (): void => undefined;
    let waits = 0;
    return {
      job: {
        id: 'job-1',
        workflow: 'code-review',
        trigger: this.trigger,
        input: null,
        attempt: this.attempt,
        maxAttempts: 5,
        version: '1',
        correlationId: 'job-1',
      },
      signal: this.#abort.signal,
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      step: async <T>(name: string, run: (call: StepCall) => T | Promise<T>): Promise<T> => {
        if (!this.steps.has(name)) {
          this.steps.set(
            name,
            JSON.parse(JSON.stringify(await run({ signal: this.#abort.signal }))) as T,
          );
        }
        return this.steps.get(name) as T;
      },
      waitForEvent: async (event, options = {}) => {
        const index = waits;
        waits += 1;
        if (index >= this.answers.length) {
          this.requests.push({ event, ...options });
          this.answers.push(await this.answer(options.request?.body ?? null));
        }
        const payload = this.answers[index];
        return payload === null || payload === undefined
          ? null
          : { event, key: options.key ?? null, payload };
      },
      waitForAny: async () => null,
      sleep: async () => undefined,
      sleepUntil: async () => undefined,
      approval: async () => null,
      progress: silent,
    };
  }
}

/** Runs the whole review in this process: the workflow, and the analyser where the wait is. */
export async function review(change: Change, options: AnalyserOptions): Promise<Review> {
  const analyse = createAnalyser(options);
  const signal = new AbortController().signal;
  const job = new FakeJob(triggerOf(change), (body) =>
    analyse(
      JSON.parse(JSON.stringify({ jobId: 'job-1', waitId: 'w', ...(body as object) })),
      signal,
    ),
  );
  return job.run(createCodeReview(options));
}
