import { connect } from 'amqplib';
import { Client } from 'pg';
import { expect, test } from 'vitest';

import { createDatabase, emptyDatabase } from './database.ts';
import { startPrivatePostgres, startPrivateRabbitmq } from './private-servers.ts';
import { createVhost } from './rabbitmq.ts';

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

test('a created database has the migrations, an empty one has none', async () => {
  const [migrated, empty] = await Promise.all([createDatabase(), emptyDatabase()]);
  const ledger = `select to_regclass('public.jobledger_migrations') is not null as exists`;
  expect(await query(migrated.url, ledger)).toEqual([{ exists: true }]);
  expect(await query(empty.url, ledger)).toEqual([{ exists: false }]);
  expect(await query(empty.url, 'show fsync')).toEqual([{ fsync: 'on' }]);
  await migrated.drop();
  await empty.drop();
  await expect(query(empty.url, 'select 1')).rejects.toThrow('does not exist');
});

test('queues of one virtual host are not seen in another', async () => {
  const [one, other] = await Promise.all([createVhost(), createVhost()]);
  const connection = await connect(one.url);
  const channel = await connection.createChannel();
  await channel.assertQueue('q', { durable: true });
  const elsewhere = await connect(other.url);
  const channelElsewhere = await elsewhere.createChannel();
  channelElsewhere.on('error', () => {});
  await expect(channelElsewhere.checkQueue('q')).rejects.toThrow('NOT_FOUND');
  await connection.close();
  await elsewhere.close();
  await one.drop();
  await other.drop();
});

test('a private Postgres keeps its data over stop and kill, and loses it when wiped', async () => {
  const postgres = await startPrivatePostgres();
  try {
    await query(postgres.url, 'create table kept (n int)');
    await postgres.stop();
    await expect(query(postgres.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
    await postgres.start();
    await postgres.kill();
    await postgres.start();
    expect(await query(postgres.url, 'select * from kept')).toEqual([]);
    await postgres.wipe();
    await postgres.start();
    await expect(query(postgres.url, 'select * from kept')).rejects.toThrow('does not exist');
  } finally {
    await postgres.close();
  }
});

test('a private RabbitMQ keeps durable queues over stop and kill, and loses them when wiped', async () => {
  const rabbitmq = await startPrivateRabbitmq();
  const hasQueue = async (): Promise<boolean> =>
    (await rabbitmq.control('list_queues', 'name', '--silent')).includes('kept');
  try {
    const connection = await connect(rabbitmq.url);
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    await channel.assertQueue('kept', { durable: true });
    await rabbitmq.stop();
    await rabbitmq.start();
    expect(await hasQueue()).toBe(true);
    await rabbitmq.kill();
    await rabbitmq.start();
    expect(await hasQueue()).toBe(true);
    await rabbitmq.wipe();
    await rabbitmq.start();
    expect(await hasQueue()).toBe(false);
  } finally {
    await rabbitmq.close();
  }
}, 120_000);
