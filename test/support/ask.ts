import { inject } from 'vitest';

/** Asks the run's test servers; throws their reason when they refuse. */
export async function ask(method: string, path: string, body?: string): Promise<string> {
  const response = await fetch(new URL(path, inject('testServersUrl')), {
    method,
    ...(body !== undefined && { body }),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(answer);
  return answer;
}
