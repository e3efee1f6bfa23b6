import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowCode } from '../events/job.ts';
import { NonRetriable } from '../sdk/errors.ts';
import type { JobHistory } from '../write/door.ts';

/** What a run found done already. */
export type Kept = NonNullable<ReturnType<JobHistory['state']['results']['get']>>;

/** Code with awaits of its own may ask for what is kept a little later than its first new step. */
const GRACE_MS = 1_000;

/** Kept results are no longer asked for: to go on would do what was done again, or leave it out. */
class WorkflowChanged extends NonRetriable {
  override readonly name = 'WorkflowChanged';
}

type Options = Readonly<{ workflow: string; graceMs?: number }>;

/**
 * What earlier runs of the job have done, as this run asks for it. Results that were made by other code than this run's
 * must all be asked for before anything new is done, or the workflow has changed in a way that its replay cannot follow.
 */
export class Replay {
  /** Made by other code, and not asked for yet; with the version that made each. */
  private readonly unasked = new Map<string, string>();
  private readonly onAsked = new AbortController();

  constructor(
    private readonly state: JobHistory['state'],
    private readonly options: Options,
  ) {
    for (const [key, { code }] of state.results) {
      if (isOther(code, state.code)) this.unasked.set(key, code.version);
    }
  }

  /** The kept result of a step or a wait, by its key in the log. */
  ask(key: string): Kept | null {
    this.unasked.delete(key);
    if (this.unasked.size === 0) this.onAsked.abort();
    return this.state.results.get(key) ?? null;
  }

  /** Whether all that other code has done was asked for. */
  get isComplete(): boolean {
    return this.unasked.size === 0;
  }

  /** Throws when code that is about to do `next` still has not asked for all after a moment. */
  async assertFollowed(next: string): Promise<void> {
    const { graceMs = GRACE_MS } = this.options;
    try {
      await delay(graceMs, undefined, { signal: this.onAsked.signal });
    } catch {
      return;
    }
    this.assertComplete(next);
  }

  /** Throws unless all was asked for. */
  assertComplete(next: string): void {
    const [first] = this.unasked;
    if (first === undefined) return;
    const [key, version] = first;
    const { workflow } = this.options;
    const others = this.unasked.size - 1;
    const more = others === 0 ? '' : ` (nor for ${String(others)} more)`;
    const now = this.state.code?.version ?? version;
    const text = now === version ? `another text of version ${now}` : `version ${now}`;
    throw new WorkflowChanged(
      `Workflow "${workflow}" changed while the job was under way: version ${version} did ${nameOf(key)}, and ${text} came to ${next} without asking for it${more}. Nothing new was done. Let the workflow ask for it again under this name, where need be for "ctx.job.version" ${version} only; or retry the job from a step before, to do the rest anew`,
    );
  }
}

const isOther = (made: WorkflowCode | null, now: WorkflowCode | null): made is WorkflowCode =>
  made !== null &&
  now !== null &&
  (made.version !== now.version || made.fingerprint !== now.fingerprint);

/** `step:clone` is step "clone"; `wait:done#1` is wait "done", the second of its name. */
function nameOf(key: string): string {
  const colon = key.indexOf(':');
  return `${key.slice(0, colon)} "${key.slice(colon + 1).replace(/#0$/, '')}"`;
}
