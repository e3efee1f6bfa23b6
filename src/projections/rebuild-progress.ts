export type RebuildPhase = 'filling' | 'indexing' | 'following' | 'verifying' | 'done';

export type RebuildProgress = Readonly<{
  name: string;
  generation: number;
  phase: RebuildPhase;
  /** Folded by this run; one that goes on where another stopped begins at 0. */
  events: number;
  /** Where the new generation stands, and where it has to get. */
  position: bigint;
  target: bigint;
  /** 0 to 100. */
  percent: number;
  eventsPerSecond: number;
  secondsLeft: number | null;
}>;

/** Turns how far a rebuild has come into what a progress bar shows. */
export class ProgressMeter {
  private events = 0;
  private fillingMs = 0;

  constructor(
    private readonly of: Readonly<{ name: string; generation: number }>,
    private readonly report: (progress: RebuildProgress) => void,
  ) {}

  took(events: number, ms: number): void {
    this.events += events;
    this.fillingMs += ms;
  }

  get taken(): number {
    return this.events;
  }

  get eventsPerSecond(): number {
    return this.fillingMs === 0 ? 0 : Math.round((this.events * 1_000) / this.fillingMs);
  }

  show(phase: RebuildPhase, position: bigint, target: bigint): void {
    const left = Number(target > position ? target - position : 0n);
    const rate = this.eventsPerSecond;
    this.report({
      ...this.of,
      phase,
      events: this.events,
      position,
      target,
      percent: target === 0n ? 100 : Math.min(100, (Number(position) * 100) / Number(target)),
      eventsPerSecond: rate,
      secondsLeft: left === 0 ? 0 : rate === 0 ? null : left / rate,
    });
  }
}
