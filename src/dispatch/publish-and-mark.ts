import type { OutgoingMessage, Transport } from '../messaging/transport.ts';
import type { Queryable } from '../platform/database.ts';
import type { Logger } from '../platform/logger.ts';
import { type HintableJob, markHinted } from './hint-sql.ts';
import { publishAll } from './publish-all.ts';

/**
 * Publishes one message about each job and notes in bulk which are out. Throws when some were not confirmed: they
 * come again. One that cannot be published at all is noted too, so that it comes again later and delays nobody.
 */
export async function publishAndMark<J extends Pick<HintableJob, 'job_id' | 'version'>>(
  jobs: readonly J[],
  messageOf: (job: J) => OutgoingMessage,
  {
    database,
    transport,
    logger,
  }: Readonly<{ database: Queryable; transport: Pick<Transport, 'publish'>; logger: Logger }>,
): Promise<void> {
  if (jobs.length === 0) return;
  const publications = await publishAll(transport, jobs.map(messageOf));
  const sent = jobs.filter((_, index) => publications[index]?.status !== 'unconfirmed');
  if (sent.length > 0) await database.query(markHinted(sent));
  for (const [index, publication] of publications.entries()) {
    if (publication.status !== 'impossible') continue;
    const jobId = jobs[index]?.job_id;
    logger.error({ err: publication.error, jobId }, 'a message about a job cannot be published');
  }
  const failed = publications.find(({ status }) => status === 'unconfirmed');
  if (failed !== undefined && 'error' in failed) {
    const count = `${String(jobs.length - sent.length)} of ${String(jobs.length)}`;
    throw new Error(`${count} messages about jobs were not confirmed`, { cause: failed.error });
  }
}
