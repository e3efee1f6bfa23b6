import type { Queryable } from '../platform/database.ts';
import { type Statement, sql } from '../platform/sql.ts';
import type { EncodedAppend } from './append-command.ts';
import { binaryArray } from './binary-array.ts';
import type { AppendResult, ExpectedVersion } from './event-store.ts';

type AnswerRow = {
  status: AppendResult['status'];
  first_position: string | null;
  last_version: number;
};

/** Appends a batch in one call of log.append; each command is answered by itself. No two may be of one stream. */
export async function appendBatch(
  connection: Queryable,
  commands: readonly EncodedAppend[],
): Promise<readonly AppendResult[]> {
  const rows = await connection.query<AnswerRow>(appendStatement(commands));
  return rows.map((row, index) => answer(row, commands[index]?.events.length ?? 0));
}

function appendStatement(commands: readonly EncodedAppend[]): Statement {
  const events = commands.flatMap((command) => command.events);
  const indexes = commands.flatMap(({ events: own }, index) => own.map(() => index + 1));
  const places = commands.flatMap(({ events: own }) => own.map((_, place) => place + 1));
  return sql`
    select status, first_position, last_version
    from log.append(
      ${binaryArray.text(commands.map(({ streamId }) => streamId))}::text[],
      ${binaryArray.int4(commands.map(({ expected }) => encodeExpected(expected)))}::int[],
      ${binaryArray.int4(indexes)}::int[],
      ${binaryArray.int4(places)}::int[],
      ${binaryArray.uuid(events.map(({ id }) => id))}::uuid[],
      ${binaryArray.text(events.map(({ type }) => type))}::text[],
      ${binaryArray.int2(events.map(({ schemaVersion }) => schemaVersion))}::smallint[],
      ${binaryArray.timestamptz(events.map(({ at }) => at))}::timestamptz[],
      ${binaryArray.json(events.map(({ data }) => data))}::json[],
      ${binaryArray.json(events.map(({ metadata }) => metadata))}::json[])`;
}

function encodeExpected(expected: ExpectedVersion): number | null {
  if (expected === 'any') return null;
  return expected === 'exists' ? -1 : expected;
}

function answer(row: AnswerRow, events: number): AppendResult {
  const { status, first_position: first, last_version: version } = row;
  if (status === 'conflict' || status === 'id_conflict') return { status, version };
  const firstPosition = BigInt(first ?? 0);
  return {
    status,
    firstPosition,
    lastPosition: firstPosition + BigInt(events - 1),
    version,
  };
}
