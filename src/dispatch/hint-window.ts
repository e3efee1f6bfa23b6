/** Hints that stand in the queue while one pass of the dispatcher refills it must cover what is taken meanwhile. */
const REFILL_SECONDS = 0.25;
const MIN = 16;
const MAX = 5_000;
/** While no worker has said how many jobs it runs. What stands in the queue then is in front of all that comes later. */
const WITHOUT_WORKERS = 32;

/**
 * How many hints may be out at a time. RabbitMQ's queue is first come, first served, so what stands in it can neither
 * be overtaken by a higher priority nor be shared fairly: it holds just enough to keep the workers busy, however many
 * jobs wait. That is two jobs per place of a worker, and what is taken in a quarter of a second.
 */
export class HintWindow {
  private takenSince = 0;
  private since: number;
  private perSecond = 0;

  constructor(private readonly clock: () => Date) {
    this.since = clock().getTime();
  }

  taken(jobs: number): void {
    this.takenSince += jobs;
  }

  /** `places`: how many jobs all workers together run at a time. */
  size(places: number): number {
    this.measure();
    if (places === 0) return WITHOUT_WORKERS;
    const busy = Math.max(2 * places, MIN) + Math.ceil(this.perSecond * REFILL_SECONDS);
    return Math.min(busy, MAX);
  }

  private measure(): void {
    const seconds = (this.clock().getTime() - this.since) / 1_000;
    if (seconds < REFILL_SECONDS) return;
    const perSecond = this.takenSince / seconds;
    // Up at once, down slowly: a pause between two bursts should not make the second one slow.
    this.perSecond = Math.max(perSecond, this.perSecond * 0.5 ** seconds);
    this.takenSince = 0;
    this.since = this.clock().getTime();
  }
}
