import type { Hint } from './diagnose.ts';

/** Every way in which the ingress refuses a request. Hosts act on the status, people read the rest. */
const PROBLEMS = {
  malformed: { status: 400, title: 'The request is malformed' },
  'not-authentic': { status: 401, title: 'The delivery is not authentic' },
  'address-not-allowed': { status: 403, title: 'The address may not send to this source' },
  'unknown-path': { status: 404, title: 'There is nothing at this path' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed' },
  'too-slow': { status: 408, title: 'The request took too long to arrive' },
  'delivery-id-reused': { status: 409, title: 'The delivery id was used before' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-content': { status: 415, title: 'The body is in an unsupported format' },
  'over-rate': { status: 429, title: 'The source sends too much' },
  'too-many-failures': { status: 429, title: 'The address sends too much that is not authentic' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  unavailable: { status: 503, title: 'The delivery cannot be stored now' },
} as const satisfies Record<string, Readonly<{ status: number; title: string }>>;

export type ProblemName = keyof typeof PROBLEMS;

/** Their names, as metrics and logs have them. */
export const REFUSALS: ReadonlySet<string> = new Set(Object.keys(PROBLEMS));

/** What is sent back: all that HTTP needs, and nothing that knows a framework. */
export type Answer = Readonly<{
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string;
}>;

/** A request that gets no further. `detail` goes to the sender, so it never holds a secret or a payload. */
export class Refused extends Error {
  override readonly name = 'Refused';

  constructor(
    readonly problem: ProblemName,
    readonly detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
    /** What operators are told beside; never sent. */
    readonly hint: Hint | null = null,
  ) {
    super(detail);
  }
}

/** The refusal as `application/problem+json` (RFC 9457). */
export function problemAnswer({ problem, detail, headers }: Refused): Answer {
  const { status, title } = PROBLEMS[problem];
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: JSON.stringify({ type: `urn:jobledger:problem:${problem}`, title, status, detail }),
  };
}

export function jsonAnswer(status: number, body: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
