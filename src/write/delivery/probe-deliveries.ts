import { DedicatedConnection } from '../../event-store/dedicated-connection.ts';
import { sql } from '../../platform/sql.ts';

const APPLICATION = 'deliveries probe';

/**
 * Resolves when Postgres would take a delivery now: it is no standby, the log has a turn to give, and nobody keeps the
 * table locked. Rejects when it does not say so in time. Writes nothing.
 */
export async function probeDeliveries(databaseUrl: string, withinMs: number): Promise<void> {
  const given = new AbortController();
  const timer = setTimeout(() => {
    given.abort();
  }, withinMs);
  const late = new Promise<never>((_, reject) => {
    given.signal.addEventListener('abort', () => {
      reject(new Error(`Postgres did not answer within ${String(withinMs)} ms`));
    });
  });
  const asked = ask(databaseUrl, withinMs, given.signal);
  asked.catch(() => undefined);
  try {
    await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function ask(databaseUrl: string, withinMs: number, gone: AbortSignal): Promise<void> {
  const connection = await DedicatedConnection.open(databaseUrl, APPLICATION, {
    lock_timeout: `${String(withinMs)}ms`,
    statement_timeout: `${String(withinMs)}ms`,
  });
  // A server that falls silent must not keep the connection of each probe.
  gone.addEventListener('abort', () => {
    connection.destroy();
  });
  if (gone.aborted) connection.destroy();
  try {
    await connection.query(sql`begin`);
    await connection.query(sql`lock table ingress.deliveries, log.events in row exclusive mode`);
    await connection.query(sql`select log.take_turn()`);
    await connection.query(sql`rollback`);
  } finally {
    connection.destroy();
  }
}
