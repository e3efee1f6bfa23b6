import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Config } from '../platform/config.ts';

/** The folders whose repositories a webhook may name: the sample's, and those that CLONE_ALLOW names. */
export function localClones({
  dataDir,
  cloneAllow,
}: Pick<Config, 'dataDir' | 'cloneAllow'>): readonly string[] {
  const sample = `${pathToFileURL(resolve(join(dataDir, 'sample'))).href}/`;
  return [sample, ...(cloneAllow ?? []).filter((prefix) => prefix.startsWith('file:'))];
}
