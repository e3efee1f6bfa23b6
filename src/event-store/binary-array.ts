/**
 * Arrays in Postgres's binary format, for parameters of the `pg` package: it sends a Buffer as it is, while it
 * would build the text form of an array by escaping every element (57 µs for each of 10 KB).
 * Cast the parameter to the array type: `unnest($1::uuid[])`.
 */
type Values<T> = readonly (T | null)[];

export const binaryArray = {
  text: (values: Values<string>): Buffer => strings(25, values),
  /** Elements are JSON texts. */
  json: (values: Values<string>): Buffer => strings(114, values),
  bytea: (values: Values<Uint8Array>): Buffer => bytes(17, values),
  uuid: (values: Values<string>): Buffer => fixed(2950, 16, values, writeUuid),
  bool: (values: Values<boolean>): Buffer => fixed(16, 1, values, writeBool),
  int2: (values: Values<number>): Buffer => fixed(21, 2, values, writeInt2),
  int4: (values: Values<number>): Buffer => fixed(23, 4, values, writeInt4),
  float4: (values: Values<number>): Buffer => fixed(700, 4, values, writeFloat4),
  int8: (values: Values<bigint>): Buffer => fixed(20, 8, values, writeInt8),
  timestamptz: (values: Values<Date>): Buffer => fixed(1184, 8, values, writeTimestamp),
} as const;

const HEADER = 20;
const LENGTH = 4;
const NULL = -1;

function header(oid: number, count: number, elementBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER + count * LENGTH + elementBytes);
  buffer.writeInt32BE(1, 0); // dimensions
  buffer.writeInt32BE(1, 4); // there may be nulls
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(count, 12);
  buffer.writeInt32BE(1, 16); // the first index
  return buffer;
}

function strings(oid: number, values: Values<string>): Buffer {
  let total = 0;
  for (const value of values) if (value !== null) total += Buffer.byteLength(value);
  const buffer = header(oid, values.length, total);
  let at = HEADER;
  for (const value of values) {
    const written = value === null ? NULL : buffer.write(value, at + LENGTH);
    buffer.writeInt32BE(written, at);
    at += LENGTH + Math.max(written, 0);
  }
  return buffer;
}

function bytes(oid: number, values: Values<Uint8Array>): Buffer {
  let total = 0;
  for (const value of values) total += value?.byteLength ?? 0;
  const buffer = header(oid, values.length, total);
  let at = HEADER;
  for (const value of values) {
    buffer.writeInt32BE(value?.byteLength ?? NULL, at);
    if (value) buffer.set(value, at + LENGTH);
    at += LENGTH + (value?.byteLength ?? 0);
  }
  return buffer;
}

function fixed<T>(
  oid: number,
  size: number,
  values: Values<T>,
  write: (buffer: Buffer, value: T, at: number) => void,
): Buffer {
  const buffer = header(oid, values.length, values.length * size);
  let at = HEADER;
  for (const value of values) {
    buffer.writeInt32BE(value === null ? NULL : size, at);
    at += LENGTH;
    if (value === null) continue;
    write(buffer, value, at);
    at += size;
  }
  return buffer.subarray(0, at);
}

function writeUuid(buffer: Buffer, value: string, at: number): void {
  const digits = value.replaceAll('-', '');
  // `write` stops at the first character that is no hexadecimal digit, and at the length given.
  if (digits.length !== 32 || buffer.write(digits, at, 16, 'hex') !== 16)
    throw new TypeError(`${JSON.stringify(value)} is not a UUID`);
}

function writeBool(buffer: Buffer, value: boolean, at: number): void {
  buffer[at] = value ? 1 : 0;
}

function writeInt2(buffer: Buffer, value: number, at: number): void {
  buffer.writeInt16BE(value, at);
}

function writeInt4(buffer: Buffer, value: number, at: number): void {
  buffer.writeInt32BE(value, at);
}

function writeFloat4(buffer: Buffer, value: number, at: number): void {
  buffer.writeFloatBE(value, at);
}

function writeInt8(buffer: Buffer, value: bigint, at: number): void {
  buffer.writeBigInt64BE(value, at);
}

const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

function writeTimestamp(buffer: Buffer, value: Date, at: number): void {
  const ms = value.getTime();
  if (Number.isNaN(ms)) throw new TypeError('An invalid Date cannot be stored');
  buffer.writeBigInt64BE(BigInt(ms - POSTGRES_EPOCH_MS) * 1000n, at);
}
