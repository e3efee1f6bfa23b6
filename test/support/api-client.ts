import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

type SeenJob = Readonly<{ status: string; version: number; result: unknown; error: unknown }>;

/** Follows a job over WebSocket until it ends; gives what every message said. */
export async function followJob(api: string, id: string): Promise<readonly SeenJob[]> {
  const client = createClient({
    url: `${api.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
  });
  const text =
    'subscription ($id: ID!) { jobUpdated(id: $id) { status version result error { message classification } } }';
  const seen: SeenJob[] = [];
  try {
    for await (const { data } of client.iterate<{ jobUpdated: SeenJob }>({
      query: text,
      variables: { id },
    })) {
      if (data) seen.push(data.jobUpdated);
    }
  } finally {
    await client.dispose();
  }
  return seen;
}

export async function query<T>(api: string, text: string, variables?: object): Promise<T> {
  const response = await fetch(`${api}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: text, variables }),
  });
  const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return data;
}
