import { describe, expect, test } from 'vitest';

import { StreamReads } from '../../src/event-store/stream-reads.ts';
import type { Queryable, Row } from '../../src/platform/database.ts';

/** Answers each query when it is let, with one row per stream that was asked for. */
class SlowDatabase implements Queryable {
  readonly asked: (readonly string[])[] = [];
  private readonly answers: (() => void)[] = [];
  failure: Error | null = null;

  query<R extends Row>({ values }: Readonly<{ values: readonly unknown[] }>) {
    const ids = values[0] as readonly string[];
    this.asked.push(ids);
    return new Promise<readonly R[]>((resolve, reject) => {
      this.answers.push(() => {
        if (this.failure) reject(this.failure);
        else resolve(ids.map((id) => ({ stream_id: id, version: 1 }) as unknown as R));
      });
    });
  }

  /** Lets the oldest query have its answer, as soon as it was asked. */
  async answer(): Promise<void> {
    while (this.answers.length === 0) await turn();
    this.answers.shift()?.();
    await turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('reads of streams', () => {
  test('that are asked for together go in one statement, each with its own answer', async () => {
    const database = new SlowDatabase();
    const reads = new StreamReads(database);
    const both = Promise.all([reads.read('a'), reads.read('b'), reads.read('a')]);
    await database.answer();
    expect((await both).map((rows) => rows.map(({ stream_id: id }) => id))).toEqual([
      ['a'],
      ['b'],
      ['a'],
    ]);
    expect(database.asked).toEqual([['a', 'b']]);
  });

  test('see what was stored before they were asked for, though an older read is under way', async () => {
    const database = new SlowDatabase();
    const reads = new StreamReads(database);
    const first = reads.read('a');
    await turn();
    await turn();
    const second = reads.read('a');
    await database.answer();
    await database.answer();
    await Promise.all([first, second]);
    expect(database.asked).toEqual([['a'], ['a']]);
  });

  test('of an unknown stream give nothing', async () => {
    const database: Queryable = { query: () => Promise.resolve([]) };
    expect(await new StreamReads(database).read('unknown')).toEqual([]);
  });

  test('that fail together each hear of it, and the next ones are sent all the same', async () => {
    const database = new SlowDatabase();
    const reads = new StreamReads(database);
    database.failure = new Error('away');
    const failing = Promise.allSettled([reads.read('a'), reads.read('b')]);
    await database.answer();
    expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    database.failure = null;
    const next = reads.read('c');
    await database.answer();
    expect(await next).toHaveLength(1);
  });

  test('beyond one statement wait for the next, and none is forgotten', async () => {
    const database: Queryable = {
      query: <R extends Row>({ values }: Readonly<{ values: readonly unknown[] }>) =>
        Promise.resolve(
          (values[0] as string[]).map((id) => ({ stream_id: id, version: 1 }) as unknown as R),
        ),
    };
    const reads = new StreamReads(database);
    const ids = Array.from({ length: 200 }, (_, index) => `s${String(index)}`);
    const answers = await Promise.all(ids.map((id) => reads.read(id)));
    expect(answers.map(([row]) => row?.stream_id)).toEqual(ids);
  });
});
