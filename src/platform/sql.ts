/** A parameterised statement, in the shape `pg` accepts. */
export type Statement = Readonly<{ text: string; values: readonly unknown[] }>;

/** The texts between the values, by statement: what nesting needs to number the values anew. */
const partsOf = new WeakMap<object, readonly string[]>();

/**
 * sql`select ${1}` is { text: 'select $1', values: [1] }: values never reach the text. A value that is itself made
 * by `sql` is put in its place, with its own values: sql`select * from jobs where ${sql`status = ${status}`}`.
 */
export function sql(text: TemplateStringsArray, ...values: readonly unknown[]): Statement {
  const parts = [text[0] ?? ''];
  const flat: unknown[] = [];
  for (const [index, value] of values.entries()) {
    const after = text[index + 1] ?? '';
    const nested = nestedParts(value);
    if (nested === undefined) {
      flat.push(value);
      parts.push(after);
      continue;
    }
    flat.push(...(value as Statement).values);
    parts.push(`${parts.pop() ?? ''}${nested[0] ?? ''}`, ...nested.slice(1));
    parts.push(`${parts.pop() ?? ''}${after}`);
  }
  return statement(parts, flat);
}

/** All of the conditions; `true` for none. */
export function allOf(conditions: readonly Statement[]): Statement {
  return conditions.reduce((all, next) => sql`${all} and ${next}`, sql`true`);
}

function statement(parts: readonly string[], values: readonly unknown[]): Statement {
  const made = {
    text: parts.reduce((all, part, index) => `${all}$${String(index)}${part}`),
    values,
  };
  partsOf.set(made, parts);
  return made;
}

const nestedParts = (value: unknown): readonly string[] | undefined =>
  typeof value === 'object' && value !== null ? partsOf.get(value) : undefined;
