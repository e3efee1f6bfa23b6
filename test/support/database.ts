import { ask } from './ask.ts';

export type TestDatabase = Readonly<{ url: string; drop(): Promise<void> }>;

/** A database of its own for one test file, with all migrations, on the Postgres that the run shares. */
export async function createDatabase(): Promise<TestDatabase> {
  return database(await ask('POST', '/databases/migrated'));
}

/** The same without any migration. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return database(await ask('POST', '/databases/empty'));
}

function database(url: string): TestDatabase {
  return {
    url,
    drop: async () => {
      await ask('DELETE', '/databases', url);
    },
  };
}
