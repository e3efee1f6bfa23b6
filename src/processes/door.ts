import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';

import type { Door } from '../write/door.ts';
import { WriteModule, type WriteOptions } from '../write/write.module.ts';

/** The write side of a process that has no other Nest application. */
export async function openDoor(
  options: WriteOptions,
): Promise<Readonly<{ door: Door; close: () => Promise<void> }>> {
  const app = await NestFactory.createApplicationContext(WriteModule.register(options), {
    logger: false,
    abortOnError: false,
  });
  return { door: app.get(CommandBus), close: () => app.close() };
}
