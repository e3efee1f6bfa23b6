/** Counts completions for those that only tell a handler. */
export class Completions {
  #count = 0;
  #waiting = null;

  one() {
    this.#count++;
    if (this.#waiting !== null && this.#count >= this.#waiting.jobs) {
      this.#waiting.resolve();
      this.#waiting = null;
      this.#count = 0;
    }
  }

  after(jobs) {
    return new Promise((resolve) => {
      this.#waiting = { jobs, resolve };
    });
  }
}
