import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** JSON lines on standard error: standard output belongs to the data that a command prints. */
export function createLogger(level: LogLevel, role: string): Logger {
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ['*.authorization', '*.secret', '*.password', '*.token'],
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
