import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

type Request = Readonly<{
  method: string;
  /** Without the prefix of the API. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: never;
}>;

type Answer = Readonly<{
  status: number;
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
}>;

/** `[method, path, answer]`; `:name` in the path is one segment. */
type Route = readonly [
  string,
  string,
  (params: Readonly<Record<string, string>>, request: Request) => Answer,
];

/** What goes wrong, once: an answer in place of the host's, or a cut connection, before or after the work is done. */
type Fault = Readonly<{
  on?: (request: Request) => boolean;
  answer?: Answer;
  cut?: 'before' | 'after';
}>;

export type HostServer = Readonly<{
  apiUrl: string;
  requests: Request[];
  faults: Fault[];
  close: () => Promise<void>;
}>;

/** Plays a host's API. Whatever comes without the token is answered with 401, and what it does not know with 404. */
export async function serve(
  prefix: string,
  isAuthentic: (headers: IncomingHttpHeaders) => boolean,
  routes: readonly Route[],
): Promise<HostServer> {
  const requests: Request[] = [];
  const faults: Fault[] = [];
  const matchers = routes.map(([method, path, answer]) => ({
    method,
    match: matcher(path),
    answer,
  }));

  const work = (request: Request): Answer => {
    if (!isAuthentic(request.headers)) return { status: 401, body: { message: 'Bad credentials' } };
    for (const { method, match, answer } of matchers) {
      const params = method === request.method ? match(request.path) : null;
      if (params !== null) return answer(params, request);
    }
    return { status: 404, body: { message: `Not Found: ${request.method} ${request.path}` } };
  };

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await readOf(incoming, prefix);
    requests.push(request);
    const index = faults.findIndex(({ on }) => on === undefined || on(request));
    const [fault] = index === -1 ? [] : faults.splice(index, 1);
    const answer = fault?.cut === 'before' ? undefined : (fault?.answer ?? work(request));
    if (answer === undefined || fault?.cut !== undefined) incoming.socket.destroy();
    else send(response, answer);
  };
  const server = createServer((incoming, response) => {
    void handle(incoming, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    apiUrl: `http://127.0.0.1:${String(port)}${prefix}`,
    requests,
    faults,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readOf(incoming: IncomingMessage, prefix: string): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? '/', 'http://host');
  const text = Buffer.concat(chunks).toString();
  return {
    method: incoming.method ?? '',
    path: url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : '!',
    query: url.searchParams,
    headers: incoming.headers,
    body: (text === '' ? null : JSON.parse(text)) as never,
  };
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body));
}

function matcher(path: string): (given: string) => Record<string, string> | null {
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  const pattern = new RegExp(`^${path.replaceAll(/:\w+/g, '([^/]+)')}$`);
  return (given) => {
    const found = pattern.exec(given);
    if (found === null) return null;
    return Object.fromEntries(
      names.map((name, index) => [name, decodeURIComponent(found[index + 1] ?? '')]),
    );
  };
}
