import type { Queryable, Row } from '../platform/database.ts';
import { PersonName } from '../platform/person-name.ts';
import type { Statement } from '../platform/sql.ts';
import type { Vault } from './vault.ts';

/** A database for those who work with names: rows come with them opened, and a `PersonName` is sealed to find them. */
export class PrivateQueryable implements Queryable {
  constructor(
    private readonly database: Queryable,
    private readonly vault: Vault,
  ) {}

  async query<R extends Row = Row>({ text, values }: Statement): Promise<readonly R[]> {
    const sealed: unknown[] = [];
    for (const value of values) {
      sealed.push(value instanceof PersonName ? await this.vault.sealKnown(value.name) : value);
    }
    return this.vault.open(await this.database.query<R>({ text, values: sealed }));
  }
}
