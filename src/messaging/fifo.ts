/** First in, first out, at the same cost however long it is. */
export class Fifo<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get size(): number {
    return this.items.length - this.head;
  }

  push(item: T): void {
    this.items.push(item);
  }

  peek(): T | undefined {
    return this.items[this.head];
  }

  /** All, oldest first. */
  *[Symbol.iterator](): Generator<T> {
    // Only what `shift` has left behind is undefined without being an item.
    for (let index = this.head; index < this.items.length; index++) yield this.items[index] as T;
  }

  shift(): T | undefined {
    const item = this.items[this.head];
    if (this.size === 0) return undefined;
    this.items[this.head] = undefined;
    this.head += 1;
    if (this.head > 1_000 && this.head * 2 > this.items.length) this.compact();
    return item;
  }

  /** Puts `items` before all others, in their order. */
  prepend(items: readonly T[]): void {
    this.compact();
    this.items = [...items, ...this.items];
  }

  private compact(): void {
    this.items = this.items.slice(this.head);
    this.head = 0;
  }
}
