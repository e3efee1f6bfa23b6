import { readCheckpoint } from '../event-store/checkpoint.ts';
import type { Queryable } from '../platform/database.ts';
import { sql } from '../platform/sql.ts';
import { ARCHIVE } from './archiver.ts';

export type ArchiveStatus = Readonly<{
  jobs: number;
  events: number;
  /** Bytes on disk, of the archive and of what is not archived. */
  bytes: number;
  presentBytes: number;
  lastArchivedAt: Date | null;
  /** How far the log has been looked through. */
  position: bigint;
}>;

export async function archiveStatus(database: Queryable): Promise<ArchiveStatus> {
  const [row] = await database.query<Omit<ArchiveStatus, 'position'>>(sql`
    select count(*)::float8 as jobs, coalesce(sum(events), 0)::float8 as events,
      pg_total_relation_size('archive.events')::float8 as bytes,
      pg_total_relation_size('log.events')::float8 as "presentBytes",
      max(archived_at) as "lastArchivedAt"
    from archive.jobs`);
  const none = { jobs: 0, events: 0, bytes: 0, presentBytes: 0, lastArchivedAt: null };
  return { ...none, ...row, position: await readCheckpoint(database, ARCHIVE) };
}
