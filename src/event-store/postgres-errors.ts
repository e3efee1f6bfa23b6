import { DatabaseError } from 'pg';

/**
 * SQLSTATEs (or their classes) that say nothing against the statement: the same one may succeed a moment later.
 * Connection lost, deadlock or serialization, read-only after a failover, no resources, lock timeout,
 * statement timeout or shutdown, I/O error.
 */
const TRANSIENT = /^(?:08|40|25006|53|55P03|57|58)/;

/** The same, after which the connection cannot be used, or is to the wrong server. */
const CONNECTION = /^(?:08|25006|53|57P|58)/;

/** Whether the server asks for the same statement again, later. */
export const isTransient = (error: unknown): boolean =>
  error instanceof DatabaseError && TRANSIENT.test(error.code ?? '');

/** Whether the server's answer means that the connection is of no more use. */
export const endsConnection = (error: unknown): boolean =>
  error instanceof DatabaseError && CONNECTION.test(error.code ?? '');

/** Whether it is the data that cannot be stored, whenever it is sent: class 22 is what it is, 23 what it breaks. */
export const isRefusedData = (error: unknown): boolean =>
  error instanceof TypeError || (error instanceof DatabaseError && /^2[23]/.test(error.code ?? ''));

/** Whether a pooler gave us a connection that does not know our prepared statement, or knows it from somebody else. */
export const isLostPreparation = (error: unknown): boolean =>
  error instanceof DatabaseError && (error.code === '26000' || error.code === '42P05');
