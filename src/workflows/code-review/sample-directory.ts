import { join } from 'node:path';

/** Where the sample repository lives; `code-review` may always fetch from here. */
export const sampleDirectory = (dataDir: string): string => join(dataDir, 'sample');
