import { v5, v7 } from 'uuid';

const JOBLEDGER = 'd0a3c7f4-0f6b-5e0e-9a43-8f1c5e1d7b52';

/** The same parts always give the same id (UUIDv5), so what is derived twice is one thing. */
export const derivedId = (...parts: readonly string[]): string =>
  v5(JSON.stringify(parts), JOBLEDGER);

/** A new id that sorts by time (UUIDv7), which keeps index pages warm. */
export const newId = (): string => v7();
