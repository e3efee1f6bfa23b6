import type { EventStore } from '../event-store/event-store.ts';
import type { Trigger } from '../events/trigger.ts';
import type { Queryable } from '../platform/database.ts';
import type { Config } from '../platform/config.ts';
import { PrivateEventStore } from '../privacy/private-event-store.ts';
import { PrivateQueryable } from '../privacy/private-queryable.ts';
import { sealTrigger } from '../privacy/seal-names.ts';
import { Vault } from '../privacy/vault.ts';

/** How a process works with names: sealed with `PRIVACY_KEY`, and as they are without it. */
export type Privacy = Readonly<{
  vault: Vault | null;
  /** For those who work with names. */
  store: (log: EventStore) => EventStore;
  database: (database: Queryable) => Queryable;
  /** null: triggers are stored as they are. */
  sealTrigger: ((trigger: Trigger) => Promise<Trigger>) | null;
}>;

export function openPrivacy({ privacyKey }: Config, database: Queryable): Privacy {
  if (privacyKey === null) {
    return { vault: null, store: same, database: same, sealTrigger: null };
  }
  const vault = new Vault(database, privacyKey);
  return {
    vault,
    store: (log) => new PrivateEventStore(log, vault),
    database: (plain) => new PrivateQueryable(plain, vault),
    sealTrigger: (trigger) => sealTrigger(vault, trigger),
  };
}

const same = <T>(given: T): T => given;
