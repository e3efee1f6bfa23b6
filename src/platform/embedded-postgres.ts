import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { choosePrograms, initialise, ownPassword } from './embedded-cluster.ts';
import { connectOnceUp, embeddedUrl, own } from './embedded-owner.ts';
import { type Place, choosePlace } from './embedded-place.ts';
import { EmbeddedServer } from './embedded-server.ts';
import { freePort } from './free-port.ts';
import type { Logger } from './logger.ts';
import { endPostmaster, isPostmaster, runningPostmaster } from './postmaster.ts';

type Options = Readonly<{ dataDir: string; logger: Logger }>;

/** A Postgres that belongs to this process. */
export type EmbeddedPostgres = Readonly<{ url: string; stop(): Promise<void> }>;

/**
 * Starts a Postgres with its data in `dataDir`, for `start` without `DATABASE_URL`. It keeps its data over restarts,
 * ends with this process however that ends, and is started again when it ends by itself. Throws one sentence when
 * there is no Postgres to start, or another process uses the data.
 */
export async function startEmbeddedPostgres({
  dataDir,
  logger,
}: Options): Promise<EmbeddedPostgres> {
  mkdirSync(dataDir, { recursive: true });
  const place = choosePlace(dataDir, logger);
  const password = ownPassword(place);
  await takeOver(place, password, logger);
  const programs = choosePrograms(place);
  if (!existsSync(place.data)) await initialise(place, programs, password);
  const server = new EmbeddedServer({
    place,
    program: join(programs.bin, 'postgres'),
    port: await freePort(),
    password,
    logFile: join(resolve(dataDir), 'postgres.log'),
    logger,
  });
  await server.start();
  return server;
}

/** Ends the Postgres of a process that was killed; throws when its process is alive. */
async function takeOver({ data }: Place, password: string, logger: Logger): Promise<void> {
  const postmaster = runningPostmaster(data);
  if (postmaster === null) return;
  const { pid, port } = postmaster;
  const url = embeddedUrl(port, password, 'postgres');
  const connection = await connectOnceUp(url, () => isPostmaster(pid, data));
  if (connection === null) return;
  const isOrphan = await own(connection);
  await connection.end();
  if (!isOrphan) {
    throw new Error(
      `Another Jobledger process uses the data in ${data}: end it, or give this one another DATA_DIR`,
    );
  }
  logger.warn({ pid }, 'the Postgres of a process that was killed still runs: it is restarted');
  await endPostmaster(pid, data);
}
