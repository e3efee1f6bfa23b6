import { setMaxListeners } from 'node:events';

import type { EventStore } from '../event-store/event-store.ts';
import { Leadership, type Term } from '../event-store/leadership.ts';
import { LocalLogHints, type LogHints } from '../event-store/log-hints.ts';
import type { Transport } from '../messaging/transport.ts';
import type { Database } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import type { Door } from '../write/door.ts';
import { ControlFollower } from './control-follower.ts';
import type { Touched } from './control-tables.ts';
import { DispatchCounts } from './dispatch-counts.ts';
import { EventRelay } from './event-relay.ts';
import { HintWindow } from './hint-window.ts';
import { JobHints } from './job-hints.ts';
import { Leases } from './leases.ts';
import { DISPATCH } from './names.ts';
import { RateLimits } from './rate-limits.ts';
import { type Reaction, type Wake, react } from './reaction.ts';
import { Schedules } from './schedules.ts';
import { SignalConsumer } from './signal-consumer.ts';
import { SignalMatching } from './signal-matching.ts';
import { Superseding } from './superseding.ts';
import { Timers } from './timers.ts';
import { WaitRequests } from './wait-requests.ts';

export type DispatcherParts = Readonly<{
  database: Database;
  /** For the connections that hold the locks; no pooler in between. */
  databaseUrl: string;
  store: EventStore;
  hints: Pick<LogHints, 'heard' | 'wait'>;
  door: Door;
  transport: Transport;
  config: Readonly<{ leaseMs: number; redispatchAfterMs: number }>;
  clock: () => Date;
  logger: Logger;
}>;

/**
 * A hint that its appender published counts as lost after this, if nobody took the job and the queue holds fewer hints
 * than are out: the appender may have died in between.
 */
const PROMPT_LOST_AFTER_MS = 2_000;

type WokenReaction = Readonly<{ reaction: Reaction; wake: Wake }>;

/**
 * Carries work from the log to the workers, and what they wait for back to them. One instance leads; the others
 * stand by. It keeps nothing that the log and its tables do not say, so it may end at any moment.
 */
export class Dispatcher {
  readonly counts = new DispatchCounts();
  private readonly leadership: Leadership;
  private readonly follower: ControlFollower;
  private readonly window: HintWindow;
  private readonly reactions: Readonly<Record<ReactionName, WokenReaction>>;
  private readonly hints: JobHints;
  private readonly signals: SignalConsumer;
  readonly relay: EventRelay;
  private promptTimer: NodeJS.Timeout | null = null;

  constructor(private readonly parts: DispatcherParts) {
    const { databaseUrl, logger, clock } = parts;
    const own = { ...parts, ...parts.config, counts: this.counts };
    this.leadership = new Leadership({ databaseUrl, name: DISPATCH, logger });
    this.window = new HintWindow(clock);
    this.hints = new JobHints({ ...own, window: this.window });
    const hints = woken(this.hints);
    const rates = woken(new RateLimits({ ...own, hintsWake: hints.wake }));
    this.reactions = {
      hints,
      rates,
      superseding: woken(new Superseding(own)),
      waits: woken(new SignalMatching(own)),
      timers: woken(new Timers({ ...own, hintsWake: hints.wake, ratesWake: rates.wake })),
      requests: woken(new WaitRequests(own)),
      leases: woken(new Leases(own)),
      schedules: woken(new Schedules(own)),
    };
    this.follower = new ControlFollower({
      ...parts,
      promptEarlierMs: Math.max(0, parts.config.redispatchAfterMs - PROMPT_LOST_AFTER_MS),
      onCommitted: (touched) => {
        this.wake(touched);
      },
    });
    this.signals = new SignalConsumer(own);
    this.relay = new EventRelay(own);
  }

  /** Works whenever it leads, until `stop` aborts and all that it had begun has ended. */
  async run(stop: AbortSignal): Promise<void> {
    const signal = shared([stop]);
    await Promise.all([
      this.leadership.lead(signal, (term) => this.serve(term)),
      this.relay.run(signal),
      this.signals.run(signal),
    ]);
  }

  /**
   * The reactions begin when the tables know all that the log held at the beginning of the term: what older tables
   * ask for may be long over.
   */
  private async serve(term: Term): Promise<void> {
    const ending = new AbortController();
    const signal = shared([term.signal, ending.signal]);
    const running: Promise<void>[] = [];
    const { logger } = this.parts;
    try {
      await this.follower.follow(term, () => {
        if (running.length > 0) return;
        for (const { reaction, wake } of Object.values(this.reactions)) {
          running.push(react(reaction, { wake, logger }, signal));
        }
      });
    } finally {
      ending.abort();
      await Promise.all(running);
    }
  }

  /** Nobody hears of a prompt hint that got lost, so look after it some time later. */
  private lookAfterPromptHints(): void {
    this.promptTimer ??= setTimeout(() => {
      this.promptTimer = null;
      this.reactions.hints.wake.announce();
    }, PROMPT_LOST_AFTER_MS).unref();
  }

  private wake(touched: Touched): void {
    this.window.taken(touched.taken);
    if (touched.prompt) this.lookAfterPromptHints();
    const hasRoom = this.hints.isFull && (touched.taken > 0 || touched.ended);
    const due: Partial<Record<ReactionName, boolean>> = {
      hints: touched.ready || hasRoom,
      rates: touched.rates,
      superseding: touched.superseding,
      waits: touched.waits,
      timers: touched.timers,
      requests: touched.requests,
    };
    for (const [name, { wake }] of Object.entries(this.reactions)) {
      if (due[name as ReactionName]) wake.announce();
    }
  }
}

type ReactionName =
  'hints' | 'rates' | 'superseding' | 'waits' | 'timers' | 'requests' | 'leases' | 'schedules';

const woken = (reaction: Reaction): WokenReaction => ({ reaction, wake: new LocalLogHints() });

/** One signal for many listeners at a time, without Node's warning. */
function shared(signals: AbortSignal[]): AbortSignal {
  const signal = AbortSignal.any(signals);
  setMaxListeners(0, signal);
  return signal;
}
