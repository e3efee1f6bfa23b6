import { readFileSync } from 'node:fs';

/** The API's schema, as it is published. */
export const schemaText = (): string =>
  readFileSync(new URL('../../../docs/schema.graphql', import.meta.url), 'utf8');
