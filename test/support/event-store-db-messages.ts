import shared from '@eventstore/db-client/generated/shared_pb.js';
import status from '@eventstore/db-client/generated/status_pb.js';
import messages from '@eventstore/db-client/generated/streams_pb.js';
import any from 'google-protobuf/google/protobuf/any_pb.js';
import empty from 'google-protobuf/google/protobuf/empty_pb.js';

/** An event of the server, as it was given. */
export type StoredEvent = Readonly<{
  id: string;
  type: string;
  data: string;
  metadata: string;
}>;

type Proposed = InstanceType<
  typeof messages.AppendReq.ProposedMessage | typeof messages.BatchAppendReq.ProposedMessage
>;
/** What a stream must be for an append: so many events, or anything. */
export type Expected = number | 'any' | 'exists';
export type Answer = Readonly<{ status: 'appended' | 'wrong'; length: number }>;

type Identifier = InstanceType<typeof shared.StreamIdentifier>;

export const nameOf = (identifier: Identifier | undefined): string =>
  Buffer.from((identifier?.getStreamName() ?? '') as string, 'base64').toString('utf8');

function identifierOf(name: string): Identifier {
  const identifier = new shared.StreamIdentifier();
  identifier.setStreamName(Buffer.from(name).toString('base64'));
  return identifier;
}

export function expectedOf(
  options: Readonly<{ hasNoStream(): boolean; hasAny(): boolean; hasStreamExists(): boolean }>,
  revision: string,
): Expected {
  if (options.hasNoStream()) return 0;
  if (options.hasAny()) return 'any';
  return options.hasStreamExists() ? 'exists' : Number(revision) + 1;
}

export const storedEvent = (message: Proposed): StoredEvent => ({
  id: uuidOf(message.getId()),
  type: String(message.getMetadataMap().get('type')),
  data: Buffer.from(message.getData() as string, 'base64').toString('utf8'),
  metadata: Buffer.from(message.getCustomMetadata() as string, 'base64').toString('utf8'),
});

/** As text, or as the two halves of its number. */
export function uuidOf(uuid: InstanceType<typeof shared.UUID> | undefined): string {
  const halves = uuid?.getStructured();
  if (!halves) return uuid?.getString() ?? '';
  const hex = [halves.getMostSignificantBits(), halves.getLeastSignificantBits()]
    .map((half) => BigInt.asUintN(64, BigInt(half)).toString(16).padStart(16, '0'))
    .join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function wrongExpectedVersion(length: number): InstanceType<typeof status.Status> {
  const wrong = new shared.WrongExpectedVersion();
  if (length > 0) wrong.setCurrentStreamRevision(String(length - 1));
  else wrong.setCurrentNoStream(new empty.Empty());
  const details = new any.Any();
  details.pack(wrong.serializeBinary(), 'event_store.client.WrongExpectedVersion');
  const error = new status.Status();
  error.setMessage('WrongExpectedVersion');
  error.setDetails(details);
  return error;
}

export function readAnswer(
  stream: string,
  { id, type, data, metadata }: StoredEvent,
  revision: number,
): InstanceType<typeof messages.ReadResp> {
  const uuid = new shared.UUID();
  uuid.setString(id);
  const event = new messages.ReadResp.ReadEvent.RecordedEvent();
  event.setId(uuid);
  event.setStreamIdentifier(identifierOf(stream));
  event.setStreamRevision(String(revision));
  event.setCommitPosition('0');
  event.setPreparePosition('0');
  event.setData(Buffer.from(data).toString('base64'));
  event.setCustomMetadata(Buffer.from(metadata).toString('base64'));
  event.getMetadataMap().set('type', type);
  event.getMetadataMap().set('content-type', 'application/json');
  event.getMetadataMap().set('created', '0');
  const read = new messages.ReadResp.ReadEvent();
  read.setEvent(event);
  const response = new messages.ReadResp();
  response.setEvent(read);
  return response;
}

/** The answer to one append. */
export function appendAnswer({
  status: outcome,
  length,
}: Answer): InstanceType<typeof messages.AppendResp> {
  const response = new messages.AppendResp();
  if (outcome === 'appended') {
    const success = new messages.AppendResp.Success();
    success.setCurrentRevision(String(length - 1));
    response.setSuccess(success);
    return response;
  }
  const wrong = new messages.AppendResp.WrongExpectedVersion();
  if (length > 0) wrong.setCurrentRevision(String(length - 1));
  else wrong.setCurrentNoStream(new shared.Empty());
  response.setWrongExpectedVersion(wrong);
  return response;
}

/** The answer to one of the appends of a batch stream. */
export function batchAnswer(
  stream: string,
  { status: outcome, length }: Answer,
  correlation: InstanceType<typeof shared.UUID> | undefined,
): InstanceType<typeof messages.BatchAppendResp> {
  const response = new messages.BatchAppendResp();
  response.setCorrelationId(correlation);
  response.setStreamIdentifier(identifierOf(stream));
  if (outcome === 'appended') {
    const success = new messages.BatchAppendResp.Success();
    success.setCurrentRevision(String(length - 1));
    response.setSuccess(success);
  } else {
    response.setError(wrongExpectedVersion(length));
  }
  return response;
}

type Options = InstanceType<typeof messages.ReadReq.Options>;

/** The events that a read asks for, with their revisions, in its order. */
export function inRange(
  stored: readonly StoredEvent[],
  options: Options,
): readonly (readonly [number, StoredEvent])[] {
  const wanted = options.getStream();
  const start = wanted?.hasRevision() ? Number(wanted.getRevision()) : 0;
  const from = wanted?.hasEnd() ? stored.length - 1 : start;
  const backwards = options.getReadDirection() === messages.ReadReq.Options.ReadDirection.BACKWARDS;
  const found = [...stored.entries()].filter(([revision]) =>
    backwards ? revision <= from : revision >= from,
  );
  return (backwards ? found.toReversed() : found).slice(0, Number(options.getCount()));
}

export function notFoundAnswer(stream: string): InstanceType<typeof messages.ReadResp> {
  const missing = new messages.ReadResp.StreamNotFound();
  missing.setStreamIdentifier(identifierOf(stream));
  const response = new messages.ReadResp();
  response.setStreamNotFound(missing);
  return response;
}
