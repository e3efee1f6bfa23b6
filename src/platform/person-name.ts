/**
 * A person's name as a value in SQL, to compare with a stored one. Where names are sealed, it is sealed on its way to
 * the database; otherwise it is the name.
 */
export class PersonName {
  constructor(readonly name: string) {}

  /** What `pg` sends for it. */
  toPostgres(): string {
    return this.name;
  }
}
