import { EventEmitter, once } from 'node:events';

import { backoffMs, pause } from '../../platform/backoff.ts';
import type { Logger } from '../../platform/logger.ts';

/**
 * Where deliveries go.
 * `none`: to Postgres. `away`: to the spool, at once, while Postgres is asked again and again whether it is back.
 * `catching-up`: it is back, and deliveries go to the end of the spool, so that none overtakes those that wait there.
 * `ending`: the spool is nearly empty, and deliveries wait for a moment until it is.
 */
export type OutageState = 'none' | 'away' | 'catching-up' | 'ending';

export type OutageParts = Readonly<{
  /** Resolves when Postgres takes deliveries; rejects within about a second when not. */
  probe: () => Promise<void>;
  /** How many deliveries are still to be drained. Rejects when the broker does not say. */
  backlog: () => Promise<number>;
  logger: Logger;
  initially?: OutageState;
}>;

/** A backlog of which the rest is drained while new deliveries wait. */
const NEARLY_EMPTY = 100;
/** New deliveries wait no longer than this for the end of an outage. */
export const HOLD_MS = 300;
const LOOK_EVERY_MS = 25;
const CATCH_UP_LOOK_MS = 200;
const ANSWER_WITHIN_MS = 1_000;
/** Other processes may keep the spool from being empty for ever; then order gives way. */
const MAX_HOLDS = 5;

/** Whether Postgres is known to be away, found out by whoever needs it and ended by a probe. */
export class Outage {
  private current: OutageState;
  private readonly events = new EventEmitter().setMaxListeners(0);
  private readonly listeners = new Set<() => void>();
  private beganAt = performance.now();
  private probeFailure = '';

  constructor(private readonly parts: OutageParts) {
    this.current = parts.initially ?? 'none';
  }

  get state(): OutageState {
    return this.current;
  }

  /** Somebody could not store. */
  begin(cause: unknown): void {
    if (this.current === 'away') return;
    this.beganAt = performance.now();
    this.parts.logger.warn({ err: cause }, 'Postgres is away: deliveries go to the spool');
    this.become('away');
  }

  /** Resolves when an outage begins, or `signal` aborts. */
  async next(signal: AbortSignal): Promise<null> {
    await this.event('away', signal);
    return null;
  }

  /** Calls `listener` when an outage begins, until it is told to stop. Each delivery does so, so it costs little. */
  onBegin(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** Resolves when the state is not this one, or `signal` aborts. */
  async leaves(state: OutageState, signal?: AbortSignal): Promise<void> {
    for (;;) {
      if (this.current !== state || signal?.aborted === true) return;
      await this.event('change', signal);
    }
  }

  /** Sees each outage to its end, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.leaves('none', signal);
      await this.probeUntilBack(signal);
      await this.catchUp(signal);
    }
    // Nobody would end it any more.
    if (this.current === 'ending') this.become('catching-up');
  }

  private async probeUntilBack(signal: AbortSignal): Promise<void> {
    for (let tries = 1; this.current === 'away' && !signal.aborted; tries += 1) {
      await pause(backoffMs(tries, { firstMs: 200, maxMs: 1_000 }), signal);
      try {
        await this.parts.probe();
      } catch (error) {
        this.logProbe(error);
        continue;
      }
      this.probeFailure = '';
      this.become('catching-up');
    }
  }

  /** Each reason once: there may be hours of them. */
  private logProbe(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === this.probeFailure) return;
    this.probeFailure = reason;
    this.parts.logger.warn({ reason }, 'Postgres does not take deliveries yet');
  }

  private async catchUp(signal: AbortSignal): Promise<void> {
    for (let holds = 0; this.current === 'catching-up' && !signal.aborted;) {
      const backlog = await this.backlog();
      if (backlog > NEARLY_EMPTY) {
        await pause(CATCH_UP_LOOK_MS, signal);
        continue;
      }
      holds += 1;
      if (await this.emptied(backlog, signal)) this.end('the spool is empty');
      else if (holds >= MAX_HOLDS) this.end('others keep the spool filled');
      else await pause(CATCH_UP_LOOK_MS, signal);
    }
  }

  /** Holds new deliveries back until two looks in a row find nothing left, or for so long. */
  private async emptied(backlog: number, signal: AbortSignal): Promise<boolean> {
    if (this.current !== 'catching-up') return false;
    this.become('ending');
    const until = performance.now() + HOLD_MS;
    let looks = backlog === 0 ? 1 : 0;
    while (this.is('ending') && performance.now() < until && !signal.aborted) {
      await pause(LOOK_EVERY_MS, signal);
      looks = (await this.backlog()) === 0 ? looks + 1 : 0;
      if (looks >= 2) return true;
    }
    if (this.is('ending')) this.become('catching-up');
    return false;
  }

  /** The state changes while somebody awaits, which TypeScript does not see. */
  private is(state: OutageState): boolean {
    return this.current === state;
  }

  /** Without a broker there is no backlog to be drained, nor anywhere to put more. */
  private async backlog(): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`RabbitMQ did not answer within ${String(ANSWER_WITHIN_MS)} ms`));
      }, ANSWER_WITHIN_MS);
    });
    const asked = this.parts.backlog();
    asked.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } catch (error) {
      this.parts.logger.debug({ err: error }, 'the backlog of the spool is not known');
      return 0;
    } finally {
      clearTimeout(timer);
    }
  }

  private end(why: string): void {
    if (this.current === 'away') return;
    const seconds = (performance.now() - this.beganAt) / 1000;
    this.parts.logger.info({ seconds, why }, 'deliveries go to Postgres again');
    this.become('none');
  }

  private become(state: OutageState): void {
    this.current = state;
    this.events.emit('change');
    if (state !== 'away') return;
    this.events.emit('away');
    for (const listener of this.listeners) listener();
  }

  private async event(name: 'change' | 'away', signal?: AbortSignal): Promise<void> {
    // The only failure is the abort, which whoever waits looks at.
    await once(this.events, name, { ...(signal && { signal }) }).catch(() => undefined);
  }
}
