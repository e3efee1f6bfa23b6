/** The command was called in a way that cannot work; the message says how it can. */
export class Usage extends Error {
  override readonly name = 'Usage';
}

/** `option` is what the user knows it as, such as --first. */
export function wholeNumber(
  option: string,
  text: string,
  { min, max }: Readonly<{ min: number; max: number }>,
): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new Usage(
    `${option} is "${text}": it must be a whole number from ${String(min)} to ${String(max)}`,
  );
}

export function position(text: string): bigint {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new Usage(`"${text}" is not a position: it is a whole number such as 42`);
}

export function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Usage(`${text} is not JSON; a text needs its own quotes: '"text"'`);
  }
}
