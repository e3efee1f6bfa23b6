/** Data goes to standard output, all else to standard error. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, bigintsAsText, 2)}\n`);
}

/** One document a line, for streams. */
export function printJsonLine(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, bigintsAsText)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

const bigintsAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value;

type Cell = string | number | bigint | boolean | null | undefined;

/** Columns as wide as their widest cell; `none` when there are no rows. */
export function printTable(
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
  none: string,
): void {
  if (rows.length === 0) {
    say(none);
    return;
  }
  const texts = [columns, ...rows.map((row) => row.map((cell) => visible(String(cell ?? ''))))];
  const widths = columns.map((_, index) =>
    Math.max(...texts.map((row) => (row[index] ?? '').length)),
  );
  for (const row of texts) {
    print(
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

/** Text from outside must not steer the terminal. */
export function visible(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '�');
}
