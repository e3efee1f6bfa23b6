import { RetryAfter } from '../sdk/index.ts';
import { HostRefused } from './host-access.ts';
import type { HostAddress } from './host-address.ts';
import { rateLimitMs } from './rate-limit.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

type Reply = Readonly<{ status: number; headers: Headers; text: string }>;

const REQUEST_MS = 20_000;
const ANSWER_BYTES = 8 * 1024 * 1024;
const QUOTED = 300;

/** Speaks JSON with one host. Everything goes to its configured address: redirects are refused. */
export class HostClient {
  constructor(
    private readonly host: HostAddress,
    private readonly signal: AbortSignal,
  ) {}

  /** What the host answers, parsed; null for an empty answer. Make paths with `path`. */
  async send(method: Method, to: string, body?: unknown): Promise<unknown> {
    return (await this.ask(method, to, body)).body;
  }

  /** What is there, and the headers, which may say where the next page is. */
  async read(to: string): Promise<Readonly<{ body: unknown; headers: Headers }>> {
    return this.ask('GET', to, undefined);
  }

  private async ask(
    method: Method,
    to: string,
    body: unknown,
  ): Promise<Readonly<{ body: unknown; headers: Headers }>> {
    const reply = await this.exchange(method, to, body);
    // Azure answers a wrong token with 203 and a page to sign in.
    if (reply.status < 200 || reply.status > 299 || reply.status === 203) {
      throw this.failureOf(reply, `${method} ${to}`);
    }
    const { headers, text } = reply;
    if (text === '') return { body: null, headers };
    try {
      return { body: JSON.parse(exact(text)) as unknown, headers };
    } catch {
      throw this.refused(`${method} ${to}`, 'an answer that is no JSON', reply.status);
    }
  }

  /** null: the host has no such thing. */
  async find(to: string): Promise<unknown> {
    try {
      return await this.send('GET', to);
    } catch (error) {
      if (error instanceof HostRefused && error.status === 404) return null;
      throw error;
    }
  }

  private async exchange(method: Method, to: string, body: unknown): Promise<Reply> {
    const { name, apiUrl, headers } = this.host;
    try {
      const response = await fetch(`${apiUrl}${to}`, {
        method,
        headers: {
          accept: 'application/json',
          'user-agent': 'jobledger',
          ...headers,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.any([this.signal, AbortSignal.timeout(REQUEST_MS)]),
      });
      return {
        status: response.status,
        headers: response.headers,
        text: await textOf(response),
      };
    } catch (error) {
      this.signal.throwIfAborted();
      throw new Error(`${name} did not answer ${method} ${to}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  private failureOf(reply: Reply, request: string): Error {
    const { name, urlVariable } = this.host;
    const { status, headers } = reply;
    const delayMs = rateLimitMs(reply, Date.now());
    if (delayMs !== null) {
      const seconds = String(Math.ceil(delayMs / 1000));
      return new RetryAfter(`${name} limits the rate: again in ${seconds} seconds`, delayMs);
    }
    if (status >= 300 && status < 400) {
      const to = headers.get('location') ?? 'nowhere';
      const what = `a redirect to ${to.slice(0, 100)}: check ${urlVariable}`;
      return this.refused(request, what, status);
    }
    const said = `${String(status)}${messageOf(reply.text)}`;
    // 409: somebody was faster, and the next attempt sees what they did.
    if (status >= 500 || status === 408 || status === 409) {
      return new Error(`${name} answered ${request} with ${said}`);
    }
    return this.refused(request, said, status);
  }

  private refused(request: string, what: string, status: number): HostRefused {
    const { name, tokenVariable } = this.host;
    const hint = HINTS[status];
    const advice = hint === undefined ? '' : `. ${hint.replace('TOKEN', tokenVariable)}`;
    return new HostRefused(`${name} answered ${request} with ${what}${advice}`, status);
  }
}

const HINTS: Readonly<Record<number, string>> = {
  203: 'Check that TOKEN is valid',
  302: 'Check that TOKEN is valid',
  401: 'Check that TOKEN is valid',
  403: 'Check what TOKEN is allowed to do',
  404: 'Check that TOKEN may see the repository',
};

/** An address below the API's own, with each value as one segment of it. */
export function path(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return parts.map((part, index) => part + segment(values[index])).join('');
}

function segment(value: string | number | undefined): string {
  if (value === undefined) return '';
  const text = String(value);
  if (/^\.{0,2}$/.test(text)) {
    throw new HostRefused(`"${text}" cannot be a part of an address`, 0);
  }
  return encodeURIComponent(text);
}

/** `owner/name` in two. */
export function ownerAndName(repository: string): readonly [string, string] {
  const [owner, name, ...more] = repository.split('/');
  if (owner === undefined || name === undefined || more.length > 0) {
    throw new HostRefused(`"${repository}" is not of the form owner/name`, 0);
  }
  return [owner, name];
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the rest.
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES) throw new Error('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Ids that a number of JavaScript would round, as GitHub's deliveries have them, become texts. */
const exact = (json: string): string =>
  json.replaceAll(/"id":\s*(\d{16,})(?=\s*[,}])/g, '"id":"$1"');

/** What the host says about a refusal, in one line; pages for people are left out. */
function messageOf(text: string): string {
  if (text === '' || text.trimStart().startsWith('<')) return '';
  return `: ${text.replaceAll(/[\s\p{Cc}]+/gu, ' ').slice(0, QUOTED)}`;
}

/** `fetch` says what is wrong in the cause of its error, and in the cause of that. */
function reasonOf(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  return reason instanceof Error ? reason.message : String(reason);
}
