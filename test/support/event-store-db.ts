import serverFeatures from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import serverFeaturesMessages from '@eventstore/db-client/generated/serverfeatures_pb.js';
import type shared from '@eventstore/db-client/generated/shared_pb.js';
import streams from '@eventstore/db-client/generated/streams_grpc_pb.js';
import type messages from '@eventstore/db-client/generated/streams_pb.js';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerWritableStream,
  type handleUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import {
  appendAnswer,
  batchAnswer,
  expectedOf,
  inRange,
  nameOf,
  notFoundAnswer,
  readAnswer,
  storedEvent,
  uuidOf,
} from './event-store-db-messages.ts';

import type { Answer, Expected, StoredEvent } from './event-store-db-messages.ts';

/**
 * EventStoreDB's protocol over real gRPC, in memory: append (one call, and the batches of later servers) with the
 * expected revision, idempotent by event ids as there, and reads of one stream. It keeps its streams while it is stopped.
 */
export class EventStoreDbServer {
  readonly streams = new Map<string, StoredEvent[]>();
  /** Streams in the order of their appends, for what is to be in order. */
  readonly appended: string[] = [];
  /** Called before each append is stored; while it waits, no answer is given. */
  beforeAppend: (stream: string) => Promise<void> = () => Promise.resolve();
  private readonly turns = new Map<string, Promise<unknown>>();
  private server: Server | undefined;
  private port = 0;

  /** `batches`: whether it knows the batch appends of servers since 21.10. */
  constructor(private readonly options: Readonly<{ batches: boolean }> = { batches: true }) {}

  get url(): string {
    return `esdb://127.0.0.1:${String(this.port)}?tls=false`;
  }

  async start(): Promise<void> {
    const server = new Server();
    server.addService(serverFeatures.ServerFeaturesService, {
      getSupportedMethods: this.supportedMethods,
    });
    server.addService(streams.StreamsService, {
      append: this.append,
      batchAppend: this.batchAppend,
      read: this.read,
    });
    const address = `127.0.0.1:${String(this.port)}`;
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
    this.server = server;
  }

  /** Ends every call at once. What it holds stays, and it starts again at the same port. */
  stop(): void {
    this.server?.forceShutdown();
    this.turns.clear();
    this.server = undefined;
  }

  private readonly supportedMethods: handleUnaryCall<
    InstanceType<typeof shared.Empty>,
    InstanceType<typeof serverFeaturesMessages.SupportedMethods>
  > = (_call, answer) => {
    const methods = new serverFeaturesMessages.SupportedMethods();
    methods.setEventStoreServerVersion('24.10.0');
    for (const name of ['read', 'append', ...(this.options.batches ? ['batchappend'] : [])]) {
      const method = new serverFeaturesMessages.SupportedMethod();
      method.setServiceName('event_store.client.streams.streams');
      method.setMethodName(name);
      methods.addMethods(method);
    }
    answer(null, methods);
  };

  private readonly append = (
    call: ServerReadableStream<
      InstanceType<typeof messages.AppendReq>,
      InstanceType<typeof messages.AppendResp>
    >,
    answer: sendUnaryData<InstanceType<typeof messages.AppendResp>>,
  ): void => {
    let stream = '';
    let expected: Expected = 'any';
    const events: StoredEvent[] = [];
    call.on('data', (request: InstanceType<typeof messages.AppendReq>) => {
      const options = request.getOptions();
      const message = request.getProposedMessage();
      if (options) {
        stream = nameOf(options.getStreamIdentifier());
        expected = expectedOf(options, options.getRevision());
      }
      if (message) events.push(storedEvent(message));
    });
    call.on('end', () => {
      void this.store(stream, expected, events).then((result) => {
        answer(null, appendAnswer(result));
        return null;
      });
    });
  };

  private readonly batchAppend = (
    call: ServerDuplexStream<
      InstanceType<typeof messages.BatchAppendReq>,
      InstanceType<typeof messages.BatchAppendResp>
    >,
  ): void => {
    const open = new Map<string, { stream: string; expected: Expected; events: StoredEvent[] }>();
    call.on('data', (request: InstanceType<typeof messages.BatchAppendReq>) => {
      const correlation = request.getCorrelationId();
      const id = uuidOf(correlation);
      const options = request.getOptions();
      if (options) {
        open.set(id, {
          stream: nameOf(options.getStreamIdentifier()),
          expected: expectedOf(options, options.getStreamPosition()),
          events: [],
        });
      }
      const batch = open.get(id);
      batch?.events.push(...request.getProposedMessagesList().map(storedEvent));
      if (!request.getIsFinal() || !batch) return;
      open.delete(id);
      void this.store(batch.stream, batch.expected, batch.events).then((result) =>
        call.write(batchAnswer(batch.stream, result, correlation)),
      );
    });
    call.on('end', () => {
      call.end();
    });
  };

  private readonly read = (
    call: ServerWritableStream<
      InstanceType<typeof messages.ReadReq>,
      InstanceType<typeof messages.ReadResp>
    >,
  ): void => {
    const options = call.request.getOptions();
    const wanted = options?.getStream();
    const name = nameOf(wanted?.getStreamIdentifier());
    const stored = this.streams.get(name);
    if (!stored || !options) {
      call.write(notFoundAnswer(name));
      call.end();
      return;
    }
    for (const [revision, event] of inRange(stored, options)) {
      call.write(readAnswer(name, event, revision));
    }
    call.end();
  };

  /** One append of a stream after the other; all of its events, or none. */
  private store(
    stream: string,
    expected: Expected,
    events: readonly StoredEvent[],
  ): Promise<Answer> {
    const turn = (this.turns.get(stream) ?? Promise.resolve()).then(async () => {
      await this.beforeAppend(stream);
      return this.storeNow(stream, expected, events);
    });
    this.turns.set(stream, turn);
    return turn;
  }

  private storeNow(stream: string, expected: Expected, events: readonly StoredEvent[]): Answer {
    const stored = this.streams.get(stream) ?? [];
    const { length } = stored;
    if (typeof expected === 'number' && expected < length) {
      // The same events at the same place are the same append; a part of them is not.
      const there = stored.slice(expected, expected + events.length);
      const same = events.every(({ id }, index) => there[index]?.id === id);
      return same
        ? { status: 'appended', length: expected + events.length }
        : { status: 'wrong', length };
    }
    if (typeof expected === 'number' && expected !== length) return { status: 'wrong', length };
    if (expected === 'exists' && length === 0) return { status: 'wrong', length };
    this.streams.set(stream, [...stored, ...events]);
    this.appended.push(stream);
    return { status: 'appended', length: length + events.length };
  }
}
