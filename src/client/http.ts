import { JobledgerError, answered, unreachable } from './errors.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type HttpOptions = Readonly<{ url: string; key: string | null; fetch: Fetch }>;

type Answer = Readonly<{ data?: unknown; errors?: Parameters<typeof answered>[0] }>;

/** One operation over HTTP. Throws `JobledgerError` for any error of the answer, also beside data. */
export async function post(
  { url, key, fetch }: HttpOptions,
  query: string,
  variables: object = {},
  signal: AbortSignal | null = null,
): Promise<unknown> {
  const { status, text } = await send(fetch, url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal,
  });
  const answer = parsed(text);
  if (answer === null) throw strange(url, status);
  if (answer.errors !== undefined && answer.errors.length > 0) throw answered(answer.errors);
  return answer.data;
}

async function send(
  fetch: Fetch,
  url: string,
  init: RequestInit,
): Promise<Readonly<{ status: number; text: string }>> {
  try {
    const response = await fetch(url, init);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw unreachable(`${url} could not be reached`, error);
  }
}

/** null: this is no answer of a GraphQL server. */
function parsed(text: string): Answer | null {
  try {
    const answer: unknown = JSON.parse(text);
    const isAnswer =
      typeof answer === 'object' && answer !== null && ('data' in answer || 'errors' in answer);
    // The errors of an answer are GraphQL's: the specification says so.
    return isAnswer ? (answer as Answer) : null;
  } catch {
    return null;
  }
}

function strange(url: string, status: number): JobledgerError {
  if (isPassing(status)) return unreachable(`${url} answered ${String(status)}`);
  return new JobledgerError({
    code: 'REFUSED',
    message: `${url} answered ${String(status)}, and not as Jobledger does: check \`url\``,
  });
}

/** Whether a status is of a server that is there another time. */
export const isPassing = (status: number): boolean =>
  status >= 500 || [408, 425, 429].includes(status);
