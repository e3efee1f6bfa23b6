import type { SignalView, WorkflowContext } from '../../src/sdk/context.ts';
import { type JsonValue, type Workflow, defineWorkflow } from '../../src/sdk/index.ts';

/** What a scripted workflow does at one place. The names follow from the places. */
export type Node =
  | Readonly<{ kind: 'step' }>
  /** A step with two tries of its own. */
  | Readonly<{ kind: 'own-tries' }>
  | Readonly<{ kind: 'parallel' }>
  | Readonly<{ kind: 'wait'; event: string; key: string | null; timeoutMs: number | null }>
  | Readonly<{ kind: 'any'; timeoutMs: number | null }>
  | Readonly<{ kind: 'sleep'; ms: number }>;

export const NAME = 'scripted';
export const OWN_TRIES = 2;
const OWN_DELAY_MS = 1_000;

/** What a step's function does is up to whoever drives the run. */
export type PerformStep = (name: string, signal: AbortSignal) => Promise<string>;

/** A workflow that does what the job's input says; its result is what each place gave. */
export const scripted = (perform: PerformStep): Workflow =>
  defineWorkflow({
    name: NAME,
    run: async (ctx) => {
      const gave: JsonValue[] = [];
      const script = (ctx.job.input as unknown as { script: readonly Node[] }).script;
      for (const [place, node] of script.entries()) {
        gave.push(await performNode(ctx, node, { place, perform }));
      }
      return gave;
    },
  });

type WaitNode = Extract<Node, { kind: 'wait' | 'any' }>;
type Place = Readonly<{ place: number; perform: PerformStep }>;

async function performNode(
  ctx: WorkflowContext,
  node: Node,
  { place, perform }: Place,
): Promise<JsonValue> {
  const step = (name: string, options = {}): Promise<string> =>
    ctx.step(name, ({ signal }) => perform(name, signal), options);
  const retry = { maxAttempts: OWN_TRIES, firstDelayMs: OWN_DELAY_MS, maxDelayMs: OWN_DELAY_MS };
  if (node.kind === 'step') return step(`s${String(place)}`);
  if (node.kind === 'own-tries') return step(ownName(place), { retry });
  if (node.kind === 'parallel') {
    return Promise.all([step(`s${String(place)}a`), step(`s${String(place)}b`)]);
  }
  if (node.kind === 'sleep') {
    await ctx.sleep(`z${String(place)}`, node.ms);
    return 'slept';
  }
  const signal = await received(ctx, node);
  return signal === null ? 'timeout' : signal.payload;
}

function received(ctx: WorkflowContext, node: WaitNode): Promise<SignalView | null> {
  const timeout = node.timeoutMs === null ? {} : { timeoutMs: node.timeoutMs };
  if (node.kind === 'any') {
    return ctx.waitForAny([{ event: 'go', key: 'a' }, { event: 'ok' }], timeout);
  }
  const filter = node.key === null ? {} : { key: node.key };
  return ctx.waitForEvent(node.event, { ...filter, ...timeout });
}

const ownName = (place: number): string => `own${String(place)}`;

export const hasOwnTries = (step: string): boolean => step.startsWith('own');
