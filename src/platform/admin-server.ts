import { once } from 'node:events';
import { type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Registry } from 'prom-client';

import type { Logger } from './logger.ts';

/** One thing that a role can't work without. `check` throws while it is missing. */
export type ReadinessCheck = Readonly<{ name: string; check: () => Promise<void> }>;

type Options = Readonly<{
  host: string;
  /** 0: any free port. */
  port: number;
  checks: readonly ReadinessCheck[];
  registry: Registry;
  /** `/readyz` is 503 from the moment this aborts. */
  stopping: AbortSignal;
  logger: Logger;
  checkTimeoutMs?: number;
}>;

type Answer = Readonly<{ status: number; type: string; body: string }>;

/**
 * What operators and orchestrators ask a role: `/livez` (is the process alive; asks nothing else), `/readyz` (should
 * it get work) and `/metrics`.
 */
export class AdminServer {
  private readonly server: Server;
  private readonly running = new Map<string, Promise<string>>();

  constructor(private readonly options: Options) {
    this.server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      void this.respond(request.method ?? '', request.url ?? '', response);
    });
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Listens, and returns the port. */
  async start(): Promise<number> {
    const { host, port, logger } = this.options;
    this.server.listen(port, host);
    await once(this.server, 'listening');
    const actual = this.port;
    logger.info({ host, port: actual }, 'health and metrics are served');
    return actual;
  }

  /** Closes open connections too: nobody's answer is worth waiting for. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  private async respond(method: string, url: string, response: ServerResponse): Promise<void> {
    const { status, type, body } = await this.answer(method, url).catch((error: unknown) => {
      this.options.logger.error({ err: error }, 'a request to the admin port failed');
      return text(500, 'failed');
    });
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(method === 'HEAD' ? undefined : body);
  }

  private async answer(method: string, url: string): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD');
    const [path = ''] = url.split('?');
    if (path === '/livez') return text(200, 'alive');
    if (path === '/readyz') return this.readiness();
    if (path === '/metrics') {
      const { registry } = this.options;
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    }
    return text(404, 'there are /livez, /readyz and /metrics');
  }

  private async readiness(): Promise<Answer> {
    const { checks, stopping } = this.options;
    const results = await Promise.all(
      checks.map(async (check) => [check.name, await this.result(check)] as const),
    );
    const ready = !stopping.aborted && results.every(([, result]) => result === 'ok');
    return json(ready ? 200 : 503, {
      ready,
      stopping: stopping.aborted,
      checks: Object.fromEntries(results),
    });
  }

  /** "ok" or why not. A check that hangs is not started again: probes would pile up on what is already slow. */
  private async result(check: ReadinessCheck): Promise<string> {
    const { checkTimeoutMs = 1_000 } = this.options;
    const running = this.running.get(check.name) ?? this.runCheck(check);
    const late = new AbortController();
    const timeout = new Promise<string>((resolve) => {
      const timer = setTimeout(
        resolve,
        checkTimeoutMs,
        `no result in ${String(checkTimeoutMs)} ms`,
      );
      late.signal.addEventListener('abort', () => {
        clearTimeout(timer);
      });
    });
    const result = await Promise.race([running, timeout]);
    late.abort();
    return result;
  }

  private async runCheck({ name, check }: ReadinessCheck): Promise<string> {
    const running = (async () => check())().then(
      () => 'ok',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    this.running.set(name, running);
    const result = await running;
    this.running.delete(name);
    return result;
  }
}

const text = (status: number, body: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

const json = (status: number, body: object): Answer => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(body)}\n`,
});
