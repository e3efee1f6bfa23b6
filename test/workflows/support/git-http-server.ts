import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type GitHttpServer = Readonly<{
  url: string;
  /** `GET /x/info/refs`, one for each request that came. */
  requests: readonly string[];
  /** Answers instead of git; undefined lets git answer. */
  instead: {
    answer?: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  };
  close: () => Promise<void>;
}>;

/** Git's options of the server. `isOld`: it speaks only the first protocol, in which ids of commits are not enough. */
type ServedGit = Readonly<{ config?: Readonly<Record<string, string>>; isOld?: boolean }>;

/** Serves the repositories of a folder over smart HTTP, as hosts do: `git http-backend` behind a little CGI. */
export async function serveGit(root: string, served: ServedGit = {}): Promise<GitHttpServer> {
  const requests: string[] = [];
  const instead: GitHttpServer['instead'] = {};
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (instead.answer?.(request, response) !== true) backend(root, served, { request, response });
  });
  await listening(server);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    requests,
    instead,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const listening = (server: Server): Promise<void> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

function backend(
  root: string,
  served: ServedGit,
  { request, response }: Readonly<{ request: IncomingMessage; response: ServerResponse }>,
): void {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const options = Object.entries({ 'safe.directory': '*', ...served.config });
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_COUNT: String(options.length),
      ...Object.fromEntries(
        options.flatMap(([key, value], index) => [
          [`GIT_CONFIG_KEY_${String(index)}`, key],
          [`GIT_CONFIG_VALUE_${String(index)}`, value],
        ]),
      ),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: served.isOld === true ? '' : String(request.headers['git-protocol'] ?? ''),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => undefined);
  let head: Buffer | null = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (head === null) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    writeHead(response, head.toString('latin1', 0, end));
    response.write(head.subarray(end + 4));
    head = null;
  });
  child.on('close', () => response.end());
}

function writeHead(response: ServerResponse, text: string): void {
  for (const line of text.split('\r\n')) {
    const [name = '', value = ''] = line.split(/: (.*)/s);
    if (name.toLowerCase() === 'status') response.statusCode = Number(value.slice(0, 3));
    else response.setHeader(name, value);
  }
}
