import type { Json } from '../events/event.ts';

/** A name as it may stand in JSON, in JSON within ASCII, and in a form. */
export function spellings(name: string): readonly string[] {
  const json = JSON.stringify(name).slice(1, -1);
  const ascii = json.replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const form = encodeURIComponent(name);
  return [...new Set([name, json, ascii, form, form.replaceAll('%20', '+')])];
}

/** The same value without the names: null for a text that is one, and the rest of a text that has one in it. */
export function withoutNames(value: Json | undefined, names: readonly string[]): Json {
  if (typeof value === 'string') return withoutNamesIn(value, names);
  if (value === undefined || value === null || typeof value !== 'object') return value ?? null;
  if (Array.isArray(value)) return value.map((each: Json) => withoutNames(each, names));
  return Object.fromEntries(
    Object.entries(value).map(([field, each]) => [field, withoutNames(each, names)]),
  );
}

function withoutNamesIn(text: string, names: readonly string[]): string | null {
  let rest = text;
  for (const name of names) {
    const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
    rest = rest.replaceAll(new RegExp(escaped, 'giu'), '');
  }
  return rest === '' && text !== '' ? null : rest;
}
