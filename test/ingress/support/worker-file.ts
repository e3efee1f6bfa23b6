import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { build } from 'vite';

export type WorkerFile = Readonly<{ url: URL; remove: () => void }>;

/** The worker thread's file, made from the sources: a thread cannot load TypeScript. */
export async function workerFile(): Promise<WorkerFile> {
  const outDir = mkdtempSync(join(tmpdir(), 'jobledger-worker-'));
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      outDir,
      ssr: 'src/ingress/webhooks/interpret-worker.ts',
      rolldownOptions: { output: { entryFileNames: 'worker.mjs' } },
    },
  });
  return {
    url: pathToFileURL(join(outDir, 'worker.mjs')),
    remove: () => {
      rmSync(outDir, { recursive: true, force: true });
    },
  };
}
