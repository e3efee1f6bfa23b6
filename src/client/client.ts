import { Connection } from './connection.ts';
import { DOCUMENTS } from './documents.ts';
import { JobledgerError, refusal } from './errors.ts';
import { type Fetch, type HttpOptions, post } from './http.ts';
import { type OnDisconnect, type Retry, endable, resumed } from './resumed.ts';
import { type EventsOptions, eventSource, jobSource } from './streams.ts';
import type { Job, JobEvent, Json, RequestJobInput, UserError } from './types.ts';
import type { WebSocketConstructor } from './web-socket.ts';

export type ClientOptions = Readonly<{
  /** Where the API is, with or without `/graphql`: `http://127.0.0.1:3331`. */
  url: string;
  /** An API key; what it may do is its role's. */
  key?: string;
  /** Default: the platform's, or that of `ws`. */
  webSocketImpl?: WebSocketConstructor;
  fetch?: Fetch;
  retry?: Partial<Retry>;
  onDisconnect?: OnDisconnect;
  /** How long the server may be silent before the connection counts as lost. Default 10 s. */
  silenceMs?: number;
}>;

type Expecting = Readonly<{
  /** Refuse when the job has another version by now. */
  expectedVersion?: number;
}>;

export type JobledgerClient = Readonly<{
  /**
   * The job as it is, then after each of its events, up to its final status. After a lost connection it goes on with
   * the job as it is then; no version comes twice, and none before an older one.
   */
  follow: (
    jobId: string,
    options?: Readonly<{ signal?: AbortSignal }>,
  ) => AsyncIterableIterator<Job>;
  /** The log in order, each event once and none missed, over any number of lost connections. Does not end by itself. */
  events: (options?: EventsOptions) => AsyncIterableIterator<JobEvent>;
  /** Any operation but a subscription. `T` is what the caller knows of its data. */
  query: <T>(document: string, variables?: object) => Promise<T>;
  /** null when there is no such job. */
  job: (id: string) => Promise<Job | null>;
  requestJob: (input: RequestJobInput) => Promise<Job>;
  cancelJob: (id: string, options?: Expecting & Readonly<{ reason?: string }>) => Promise<Job>;
  retryJob: (id: string, options?: Expecting & Readonly<{ fromStep?: string }>) => Promise<Job>;
  /** Ends what the job waits for, by hand. */
  resumeJob: (id: string, options?: Expecting & Readonly<{ payload?: Json }>) => Promise<Job>;
  /** Answers the approval that the job waits for, in the name of the key. */
  answerApproval: (
    id: string,
    options: Expecting & Readonly<{ approved: boolean; comment?: string }>,
  ) => Promise<Job>;
  /** Gives the ids of the jobs that it resumed at once; it is kept for those that come to wait for it. */
  sendSignal: (
    event: string,
    options?: Readonly<{
      key?: string;
      payload?: Json;
      /** The same id is the same signal, however often it is sent. */
      id?: string;
    }>,
  ) => Promise<readonly string[]>;
  /** Ends all streams and the connection. */
  close: () => void;
}>;

const RETRY: Retry = {
  attempts: Number.POSITIVE_INFINITY,
  firstDelayMs: 100,
  maxDelayMs: 10_000,
};

/** A client of one Jobledger, for Node and browsers. Opens nothing before it is used. Calls throw `JobledgerError`. */
export function createClient(options: ClientOptions): JobledgerClient {
  const http = httpOptions(options);
  const query = async <T>(document: string, variables: object = {}): Promise<T> =>
    // The caller says what the document asks for.
    (await post(http, document, variables)) as T;
  return { ...streams(options, http), ...mutations(query), query, job: (id) => job(query, id) };
}

type Query = JobledgerClient['query'];

async function job(query: Query, id: string): Promise<Job | null> {
  const data = await query<{ job: Job | null }>(DOCUMENTS.job, { id });
  return data.job;
}

function streams(
  options: ClientOptions,
  http: HttpOptions,
): Pick<JobledgerClient, 'follow' | 'events' | 'close'> {
  const { retry, onDisconnect = () => {}, silenceMs = 10_000, webSocketImpl } = options;
  const connection = new Connection({
    url: http.url.replace(/^http/, 'ws'),
    key: http.key,
    webSocketImpl,
    silenceMs,
  });
  const closed = new AbortController();
  const resuming = { connection, retry: { ...RETRY, ...retry }, onDisconnect };
  return {
    follow: (jobId, { signal } = {}) =>
      endable([closed.signal, signal], (ending) =>
        resumed(jobSource(jobId), { ...resuming, signal: ending }),
      ),
    events: (about = {}) =>
      endable([closed.signal, about.signal], (ending) =>
        resumed(
          eventSource(about, (signal) => head(http, signal)),
          { ...resuming, signal: ending },
        ),
      ),
    close: () => {
      closed.abort();
      connection.close();
    },
  };
}

/** The end of the log; null for a server that has no projection and so nobody to say it. */
async function head(http: HttpOptions, signal: AbortSignal): Promise<bigint | null> {
  const data = await post(http, DOCUMENTS.head, {}, signal);
  const { projections } = data as { projections: readonly Readonly<{ head: string }>[] };
  const [first] = projections;
  return first === undefined ? null : BigInt(first.head);
}

type Payload = Readonly<{ errors: readonly UserError[] }>;
type JobPayload = Payload & Readonly<{ job: Job | null }>;

type Mutations = 'requestJob' | 'cancelJob' | 'retryJob' | 'resumeJob' | 'answerApproval';

function mutations(query: Query): Pick<JobledgerClient, Mutations | 'sendSignal'> {
  const onJob = async (name: Mutations, variables: object): Promise<Job> => {
    const data = await query<Record<string, JobPayload>>(DOCUMENTS[name], variables);
    const changed = accepted(data, name).job;
    if (changed !== null) return changed;
    throw new JobledgerError({ code: 'NOT_FOUND', message: `${name} gave no job` });
  };
  return {
    requestJob: (input) => onJob('requestJob', { input }),
    cancelJob: (id, about) => onJob('cancelJob', { id, ...about }),
    retryJob: (id, about) => onJob('retryJob', { id, ...about }),
    resumeJob: (id, about) => onJob('resumeJob', { id, ...about }),
    answerApproval: (id, about) => onJob('answerApproval', { id, ...about }),
    sendSignal: async (event, about) => {
      const data = await query<Record<string, Payload & { resumed: readonly string[] }>>(
        DOCUMENTS.sendSignal,
        { event, ...about },
      );
      return accepted(data, 'sendSignal').resumed;
    },
  };
}

/** The payload of a mutation that was not refused. */
function accepted<P extends Payload>(data: Readonly<Record<string, P>>, name: string): P {
  const payload = data[name];
  if (payload === undefined) throw refusal([]);
  if (payload.errors.length > 0) throw refusal(payload.errors);
  return payload;
}

function httpOptions({ url, key, fetch: given }: ClientOptions): HttpOptions {
  const { location } = globalThis as { location?: { href: string } };
  if (!URL.canParse(url, location?.href)) {
    throw new TypeError(
      `createClient: "${url}" is no URL: write for example http://127.0.0.1:3331`,
    );
  }
  const { origin, pathname } = new URL(url, location?.href);
  const path = pathname.replace(/\/+$/, '');
  return {
    url: `${origin}${path.endsWith('/graphql') ? path : `${path}/graphql`}`,
    key: key ?? null,
    // Called as a function of nobody: a browser's `fetch` is one of the window only.
    fetch: given ?? ((...args) => globalThis.fetch(...args)),
  };
}
