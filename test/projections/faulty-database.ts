import { Database, type Queryable, type Row } from '../../src/platform/database.ts';
import type { Statement } from '../../src/platform/sql.ts';
import { silent } from './support.ts';

export class Killed extends Error {
  override readonly name = 'Killed';
}

/**
 * A pool whose process dies at a chosen moment: before the n-th statement of a page's transaction, or after its
 * commit, whose answer it never hears. What it was doing is rolled back, as the server does it.
 */
export class FaultyDatabase extends Database {
  /** When the next death comes; null: never. It comes once. */
  dieAt: number | 'after-commit' | null = null;
  /** When it is frozen: resolves as soon as it stands still. */
  reached: Promise<void> = Promise.resolve();
  private frozen: (() => Promise<void>) | null = null;

  constructor(url: string) {
    super(url, { max: 4, applicationName: 'faulty', logger: silent });
  }

  override async transaction<T>(work: (transaction: Queryable) => Promise<T>): Promise<T> {
    let statements = -1;
    const result = await super.transaction((transaction) =>
      work({
        query: async <R extends Row>(statement: Statement) => {
          // Every page's transaction begins with this, and no other one does.
          if (statement.text.includes('synchronous_commit')) {
            statements = 0;
            await this.frozen?.();
          } else if (statements >= 0) statements++;
          if (this.dieAt === statements) this.die();
          return transaction.query<R>(statement);
        },
      }),
    );
    if (this.dieAt === 'after-commit' && statements >= 0) this.die();
    return result;
  }

  /** Freezes the process just before its next page is written; the answer thaws it. */
  freeze(): () => void {
    let thaw = (): void => {};
    const thawed = new Promise<void>((resolve) => {
      thaw = resolve;
    });
    this.reached = new Promise((resolve) => {
      this.frozen = () => {
        resolve();
        return thawed;
      };
    });
    return () => {
      this.frozen = null;
      thaw();
    };
  }

  private die(): never {
    this.dieAt = null;
    throw new Killed('killed');
  }
}
