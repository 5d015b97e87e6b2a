/** The agent's log: one JSON object a line, for a file descriptor. */
import { pino, type Logger } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What the rest of pgorbit knows of a logger: fields first, then one sentence. An error goes into the field `err`. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger whose every line carries `fields` too, such as `{ member }`. */
  child(fields: Record<string, unknown>): Log;
}

/** Fields that may hold a secret, at the depths at which they occur in what is logged. */
const SECRET_FIELDS = ['password', 'conninfo', 'primary_conninfo', 'secrets', 'passphrase'];

/**
 * A logger that writes to `fd` (default 1, standard output) synchronously: a line that was logged before a crash is
 * in the file.
 */
export function createLog(options: { level?: LogLevel; fd?: number; fields?: Record<string, unknown> } = {}): Log {
  const destination = pino.destination({ dest: options.fd ?? 1, sync: true });
  const logger: Logger = pino(
    {
      level: options.level ?? 'info',
      base: options.fields ?? null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '***' },
      hooks: { streamWrite: scrub },
    },
    destination,
  );
  return logger;
}

/** A logger that says nothing. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}

// A conninfo value may be quoted with backslash escapes, which JSON doubles; a double quote ends the JSON string.
const CONNINFO_PASSWORD = /(password\s*=\s*)('(?:[^'"\\]|\\\\[^"]|\\.)*'?|[^\s'"\\&,;]+)/gi;
const URI_PASSWORD = /(postgres(?:ql)?:\/\/[^\s:@/"]*:)[^\s@/"]+@/gi;

const PRIVATE_KEY = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^"]*?(-----END \1-----|(?="))/g;

/** Takes passwords of connection strings and private keys out of a line that is about to be written, wherever they came from. */
export function scrub(line: string): string {
  return line.replace(CONNINFO_PASSWORD, '$1***').replace(URI_PASSWORD, '$1***@').replace(PRIVATE_KEY, '***');
}
