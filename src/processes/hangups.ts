/**
 * SIGHUP asks a process that takes webhooks to read its sources again, and never ends it: one that comes while it still
 * begins is heeded when it can be, and one while it stops is nothing.
 */
export class Hangups {
  private missed = false;
  private heed: (() => void) | null = null;

  constructor() {
    process.on('SIGHUP', () => {
      if (this.heed === null) this.missed = true;
      else this.heed();
    });
  }

  /** Calls `heed` at each from now on, and at once if one was missed, until `stop`. */
  onEach(heed: () => void): Readonly<{ stop: () => void }> {
    this.heed = heed;
    if (this.missed) heed();
    this.missed = false;
    return {
      stop: () => {
        this.heed = null;
      },
    };
  }
}
