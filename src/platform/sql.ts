/** A parameterised statement, in the shape `pg` accepts. */
export type Statement = Readonly<{ text: string; values: readonly unknown[] }>;

/** sql`select ${1}` is { text: 'select $1', values: [1] }: values never reach the text. */
export function sql(text: TemplateStringsArray, ...values: readonly unknown[]): Statement {
  return {
    text: text.reduce((statement, part, index) => `${statement}$${String(index)}${part}`),
    values,
  };
}
