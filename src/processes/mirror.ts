import { openEventStoreDb } from '../mirror/event-store-db.ts';
import { Mirror } from '../mirror/mirror.ts';
import type { Core } from './core.ts';

/** The mirror at `EVENTSTOREDB_URL`; null without one. */
export function openMirror(core: Core): Mirror | null {
  const { eventStoreDbUrl } = core.config;
  if (eventStoreDbUrl === null) return null;
  return new Mirror({ ...core, open: () => openEventStoreDb(eventStoreDbUrl) });
}
