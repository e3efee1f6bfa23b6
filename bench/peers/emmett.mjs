// `node emmett.mjs <databaseUrl> <events>`: copies so many events of Jobledger's log into emmett's own tables, folds
// them by its projector into one row for each job, then rebuilds those. Says on standard output, as one line of
// JSON, how many events a second each of the two took.
import { sql } from '@event-driven-io/dumbo';
import {
  getPostgreSQLEventStore,
  postgreSQLEventStoreConsumer,
  postgreSQLProjection,
  rebuildPostgreSQLProjections,
} from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const [connectionString, count] = process.argv.slice(2);
const pulling = { batchSize: 1_000 };

const store = getPostgreSQLEventStore(connectionString);
await store.schema.migrate();
await copyEvents();

let handled = 0;

/** One statement for each event, into one column, without those that lists are filtered by. */
const jobs = postgreSQLProjection({
  name: 'jobs',
  canHandle: ['JobRequested', 'JobStarted', 'JobStepCompleted', 'JobCompleted'],
  handle: async (events, { execute }) => {
    handled += events.length;
    await execute.batchCommand(events.map(statementOf));
  },
  truncate: ({ execute }) => execute.command(sql('truncate emt_jobs')),
});

function statementOf({ type, data, metadata: { streamName, streamPosition } }) {
  if (type === 'JobRequested') {
    const job = { ...data, id: streamName, status: 'REQUESTED', version: 1, steps: [] };
    return sql('insert into emt_jobs (id, job) values (%L, %L)', streamName, JSON.stringify(job));
  }
  const change = { ...CHANGES[type](data), version: Number(streamPosition) };
  const steps =
    type === 'JobStepCompleted'
      ? sql(" || jsonb_build_object('steps', job->'steps' || %L::jsonb)", JSON.stringify([data]))
      : '';
  return sql(
    'update emt_jobs set job = job || %L::jsonb%s where id = %L',
    JSON.stringify(change),
    steps,
    streamName,
  );
}

const CHANGES = {
  JobStarted: ({ attempt, workerId }) => ({ status: 'RUNNING', attempt, workerId }),
  JobStepCompleted: () => ({}),
  JobCompleted: ({ result }) => ({ status: 'COMPLETED', result, workerId: null }),
};

const consumer = postgreSQLEventStoreConsumer({
  connectionString,
  pulling,
  stopWhen: { noMessagesLeft: true },
});
consumer.projector({ projection: jobs });
const projector = await timed(consumer);
// Under the projector's own name it would begin where that one ended.
const anew = { projection: jobs, processorId: 'rebuild', truncateOnStart: true };
const rebuild = await timed(
  rebuildPostgreSQLProjections({ connectionString, pulling, projections: [anew] }),
);
console.log(JSON.stringify({ projector, rebuild }));
process.exit(0);

async function timed(consumer) {
  const began = performance.now();
  handled = 0;
  await consumer.start();
  const seconds = (performance.now() - began) / 1_000;
  await consumer.close();
  if (handled !== Number(count)) throw new Error(`It took ${handled} of ${count} events`);
  return handled / seconds;
}

async function copyEvents() {
  await query('truncate emt_messages, emt_processors, emt_projections');
  await query(`
    insert into emt_messages (stream_position, global_position, transaction_id, stream_id, message_schema_version,
      message_id, message_type, message_data, message_metadata)
    select version, position, pg_current_xact_id(), stream_id, '1', event_id::text, type, data::jsonb, metadata::jsonb
    from log.events where position <= ${Number(count)} order by position`);
  await query('analyze emt_messages');
  await query('drop table if exists emt_jobs');
  await query('create table emt_jobs (id text primary key, job jsonb not null)');
}

async function query(text) {
  const client = new pg.Client(connectionString);
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return rows;
}
