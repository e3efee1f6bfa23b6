import { ask } from './ask.ts';

/** A virtual host of its own for one test file, on the RabbitMQ that the run shares. */
export async function createVhost(): Promise<Readonly<{ url: string; drop(): Promise<void> }>> {
  const url = await ask('POST', '/vhosts');
  return {
    url,
    drop: async () => {
      await ask('DELETE', '/vhosts', url);
    },
  };
}
