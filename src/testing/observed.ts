import {
  defineWorkflow,
  type StepCall,
  type StepOptions,
  type Workflow,
  type WorkflowContext,
} from '../sdk/index.ts';

/** How a test says what a step gives, in place of the step's own function. */
export type StepFake = (
  call: Readonly<{
    /** How often the step is called now, from 1: it is called again when it throws and the job is tried again. */
    call: number;
    job: WorkflowContext['job'];
    signal: WorkflowContext['signal'];
    /** What the workflow would have done. */
    real: () => unknown;
    /** Does nothing, and lets the time pass until the step or the attempt has taken too long. */
    hang: () => Promise<never>;
  }>,
) => unknown;

export type LogLine = Readonly<{
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: object;
}>;

export type ProgressLine = Readonly<{ percent: number; message: string | null }>;

type Step<T> = Readonly<{
  name: string;
  run: (call: StepCall) => T | Promise<T>;
  options: StepOptions | undefined;
}>;

/** The workflow with fakes in the place of some of its steps, and what it says of itself. */
export class Observed {
  private current: Workflow;
  readonly logs: LogLine[] = [];
  private readonly calls = new Map<string, number>();
  private readonly steps = new Set<string>();

  constructor(
    real: Workflow,
    private readonly fakes: Readonly<Record<string, StepFake>>,
  ) {
    for (const [name, fake] of Object.entries(fakes)) {
      if (typeof fake !== 'function') {
        throw new TypeError(`steps.${name} is no function: write ${name}: () => …`);
      }
    }
    this.current = this.observing(real);
  }

  get workflow(): Workflow {
    return this.current;
  }

  /** What the fakes' `hang` does. */
  hang: () => Promise<never> = () => Promise.reject(new Error('Nothing runs'));

  /** From now on the workflow has other code. */
  replace(real: Workflow): void {
    this.current = this.observing(real);
  }

  /** Throws when a fake is named as no step that the workflow has taken. */
  assertFakesUsed(): void {
    const unknown = Object.keys(this.fakes).filter((name) => !this.steps.has(name));
    if (unknown.length === 0) return;
    const known = [...this.steps].map((name) => `"${name}"`).join(', ');
    throw new Error(
      `Workflow "${this.workflow.name}" completed without a step ${unknown.map((name) => `"${name}"`).join(' or ')}: it took ${known === '' ? 'none' : known}. Correct the name in \`steps\`, or leave out what this run does not reach`,
    );
  }

  private observing(real: Workflow): Workflow {
    const run = (context: WorkflowContext): Promise<unknown> => real.run(this.contextOf(context));
    const { concurrency, ...rest } = real;
    // The text of the code is what tells one from another.
    run.toString = () => String(real.run);
    return defineWorkflow({ ...rest, ...(concurrency ? { concurrency } : {}), run });
  }

  private contextOf(context: WorkflowContext): WorkflowContext {
    return {
      ...context,
      logger: this.logger(),
      step: (name, run, options) => this.step(context, { name, run, options }),
    };
  }

  private step<T>(context: WorkflowContext, { name, run, options }: Step<T>): Promise<T> {
    this.steps.add(name);
    const fake = Object.hasOwn(this.fakes, name) ? this.fakes[name] : undefined;
    if (fake === undefined) return context.step(name, run, options);
    const { job } = context;
    const { hang } = this;
    return context.step(
      name,
      (stepCall) => {
        const call = (this.calls.get(name) ?? 0) + 1;
        this.calls.set(name, call);
        // What a fake gives stands for what the step would give: the test says so.
        return fake({ call, job, signal: stepCall.signal, real: () => run(stepCall), hang }) as
          T | Promise<T>;
      },
      options,
    );
  }

  private logger(): WorkflowContext['logger'] {
    const write =
      (level: LogLine['level']) =>
      (message: string, fields: object = {}) => {
        this.logs.push({ level, message, fields });
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    };
  }
}
