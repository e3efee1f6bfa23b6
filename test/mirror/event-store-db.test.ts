import { EventStoreDbServer } from '../support/event-store-db.ts';
import { describeEventStoreDb } from './event-store-db.contract.ts';

for (const batches of [true, false]) {
  describeEventStoreDb(
    `the protocol ${batches ? 'with' : 'without'} batches of appends`,
    async () => {
      const server = new EventStoreDbServer({ batches });
      await server.start();
      return {
        url: server.url,
        close: () => {
          server.stop();
        },
      };
    },
  );
}

const real = process.env['EVENTSTOREDB_TEST_URL'];
if (real !== undefined) {
  describeEventStoreDb('a server of EVENTSTOREDB_TEST_URL', () =>
    Promise.resolve({ url: real, close: () => undefined }),
  );
}
