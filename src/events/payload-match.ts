import type { Json } from './event.ts';

/**
 * Which payloads end a wait: each path, its names joined by dots, leads to exactly this value. An empty one matches
 * every payload.
 */
export type PayloadMatch = Readonly<Record<string, null | boolean | number | string>>;

/** Whether every path of the match leads to its value: `{ 'check.sha': 'abc' }`, `{ 'commits.0.id': 7 }`. */
export const matchesPayload = (match: PayloadMatch | undefined, payload: Json): boolean =>
  match === undefined ||
  Object.entries(match).every(([path, value]) => valueAt(payload, path) === value);

type Signal = Readonly<{ event: string; key: string | null; payload: Json }>;

/** Whether a signal ends a wait for these: one of its name, whose key, if any, is the signal's, and that matches. */
export const isAwaited = (
  on: readonly Readonly<{ event: string; key: string | null; match?: PayloadMatch }>[],
  { event, key, payload }: Signal,
): boolean =>
  on.some(
    (awaited) =>
      awaited.event === event &&
      (awaited.key === null || awaited.key === key) &&
      matchesPayload(awaited.match, payload),
  );

/** What stands there; undefined when nothing does. Only what the JSON itself holds, nothing that objects inherit. */
function valueAt(payload: Json, path: string): Json | undefined {
  let value: Json | undefined = payload;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Readonly<Record<string, Json>>)[name];
  }
  return value;
}
