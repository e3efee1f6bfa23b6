import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';

export type Exported = Readonly<{ jobs: number; events: number; sha256: string }>;

/** An export that is not what was written: the disk, or somebody, has changed it. */
class ExportDamaged extends Error {
  override readonly name = 'ExportDamaged';
}

const JOBS_AT_ONCE = 100;

/**
 * Writes every event of the archived jobs to a file, one JSON document a line, compressed; then reads the file again
 * and compares count and hash. The file is there under its name only when it is whole. Throws `ExportDamaged`.
 */
export async function exportArchive(database: Queryable, path: string): Promise<Exported> {
  const hash = createHash('sha256');
  const counts = { jobs: 0, events: 0 };
  async function* lines(): AsyncGenerator<string> {
    for await (const { events, text } of archivedJobs(database)) {
      counts.jobs++;
      counts.events += events;
      hash.update(text);
      yield text;
    }
  }
  const unfinished = `${path}.part`;
  await pipeline(
    Readable.from(lines()),
    createGzip(),
    createWriteStream(unfinished, { flush: true }),
  );
  const written = { ...counts, sha256: hash.digest('hex') };
  const read = await readExport(unfinished);
  if (read.sha256 !== written.sha256 || read.events !== written.events) {
    throw new ExportDamaged(
      `${unfinished} has ${String(read.events)} events, and ${String(written.events)} were written: is the disk full or broken?`,
    );
  }
  await rename(unfinished, path);
  return written;
}

/** Counts and hashes what a file holds. */
export async function readExport(path: string): Promise<Omit<Exported, 'jobs'>> {
  const hash = createHash('sha256');
  let events = 0;
  const text = createReadStream(path).pipe(createGunzip());
  for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
    hash.update(`${line}\n`);
    events++;
  }
  return { events, sha256: hash.digest('hex') };
}

type JobText = Readonly<{ events: number; text: string }>;

/** Job by job; the last event of each is in the log. What is archived meanwhile may be among them. */
async function* archivedJobs(database: Queryable): AsyncGenerator<JobText> {
  for (let after = ''; ;) {
    const rows = await database.query<JobText & { job_id: string }>(sql`
      select job.job_id, history.events, history.text
      from (
        select job_id from archive.jobs where job_id > ${after} order by job_id limit ${JOBS_AT_ONCE}
      ) as job
      cross join lateral (
        select count(*)::int as events, string_agg(json_build_object(
          'id', event_id, 'position', position::text, 'jobId', stream_id, 'version', version, 'type', type,
          'schemaVersion', schema_version, 'occurredAt', occurred_at at time zone 'UTC',
          'recordedAt', recorded_at at time zone 'UTC', 'data', data, 'metadata', metadata
        )::text || e'\\n', '' order by version) as text
        from log.all_events where stream_id = job.job_id
      ) as history
      order by job.job_id`);
    for (const row of rows) yield row;
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.job_id;
  }
}
