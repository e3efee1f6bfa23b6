import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

import { migrate } from '../../src/platform/migrate.ts';
import { composeBroker, composePostgres } from './compose.ts';
import { PrivatePostgres } from './private-postgres.ts';
import { type Broker, givenBroker, insteadOfGiven, privateBroker } from './brokers.ts';

/**
 * The servers that the test files of one run share: each starts when a test first asks for it, so that a run of unit
 * tests starts none.
 */
export class TestServers {
  private readonly prefix = `jobledger_test_${randomBytes(4).toString('hex')}`;
  private postgres: Promise<Readonly<{ url: string; close(): Promise<void> }>> | null = null;
  private broker: Promise<Broker> | null = null;
  private template: Promise<string> | null = null;
  private databases = 0;
  private vhosts = 0;
  /** Postgres clones one template at a time. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly given: Readonly<{ databaseUrl: string | null; rabbitmqUrl: string | null }>,
  ) {}

  private async databaseUrl(): Promise<string> {
    const { databaseUrl } = this.given;
    this.postgres ??=
      databaseUrl === null
        ? PrivatePostgres.start().catch(composePostgres)
        : Promise.resolve({ url: databaseUrl, close: async () => {} });
    return (await this.postgres).url;
  }

  /** A new database, empty or with all migrations. */
  async createDatabase(kind: 'empty' | 'migrated'): Promise<string> {
    const template = kind === 'empty' ? 'template0' : await this.migratedTemplate();
    this.databases += 1;
    const name = `${this.prefix}_${String(this.databases)}`;
    const made = this.turn.then(async () => this.clone(name, template));
    this.turn = made.catch(() => {});
    return made;
  }

  async dropDatabase(url: string): Promise<void> {
    const name = new URL(url).pathname.slice(1);
    await this.administer(`drop database if exists "${name}" with (force)`);
  }

  async createVhost(): Promise<string> {
    this.broker ??=
      this.given.rabbitmqUrl === null
        ? privateBroker().catch(composeBroker)
        : givenBroker(this.given.rabbitmqUrl).catch(insteadOfGiven);
    this.vhosts += 1;
    const name = `${this.prefix}_${String(this.vhosts)}`;
    return (await this.broker).addVhost(name);
  }

  async dropVhost(url: string): Promise<void> {
    const broker = await this.broker;
    await broker?.deleteVhost(decodeURIComponent(new URL(url).pathname.slice(1)));
  }

  /** Leaves nothing behind, on our own servers or on given ones. */
  async close(): Promise<void> {
    await Promise.allSettled([this.closePostgres(), this.broker?.then((broker) => broker.close())]);
  }

  private async closePostgres(): Promise<void> {
    const postgres = await this.postgres;
    if (postgres === null) return;
    if (this.given.databaseUrl !== null) await this.dropAll();
    await postgres.close();
  }

  private async migratedTemplate(): Promise<string> {
    this.template ??= this.buildTemplate();
    return this.template;
  }

  private async buildTemplate(): Promise<string> {
    const name = `${this.prefix}_template`;
    await migrate(await this.clone(name, 'template0'));
    return name;
  }

  private async clone(name: string, template: string): Promise<string> {
    await this.administer(`create database "${name}" template "${template}"`);
    const url = new URL(await this.databaseUrl());
    url.pathname = `/${name}`;
    return url.href;
  }

  private async dropAll(): Promise<void> {
    const names = await this.administer(
      `select datname from pg_database where starts_with(datname, '${this.prefix}')`,
    );
    for (const { datname } of names) {
      await this.administer(`drop database if exists "${String(datname)}" with (force)`);
    }
  }

  private async administer(statement: string): Promise<readonly Record<string, unknown>[]> {
    const client = new Client({ connectionString: await this.databaseUrl() });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(statement)).rows;
    } finally {
      await client.end();
    }
  }
}
