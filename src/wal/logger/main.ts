/**
 * The logger's process: `node main.js CONFIG.json`. It is one of its own so that its synchronous fsyncs delay nobody.
 * The file holds paths and secrets, so its mode has to be 0600; see LoggerFile.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { claimFolder } from '../../engine/companion-claim.ts';
import { endWith, log } from '../../engine/companion-log.ts';
import { PgorbitError } from '../../errors.ts';
import { parseVerifier } from '../../wire/scram.ts';
import { ControlServer } from './control.ts';
import { LOGGER_DEFAULTS, Logger, type LoggerTunables } from './logger.ts';

export interface LoggerFile {
  dir: string;
  host: string;
  port: number;
  /** The Unix socket of the agent. */
  control: string;
  /** SCRAM verifiers by user; without it everybody who can connect is trusted. */
  users?: Record<string, string>;
  /** Files in PEM. */
  tls?: { key: string; cert: string; required?: boolean };
  purge?: Partial<LoggerTunables['purge']>;
  keepaliveMs?: number;
  timeoutMs?: number;
  packetBytes?: number;
  spares?: number;
}

function read(file: string): LoggerFile {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LoggerFile;
  } catch (error) {
    throw new PgorbitError('usage', `cannot read the logger's configuration ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function main(file: string | undefined): Promise<void> {
  if (file === undefined) throw new PgorbitError('usage', 'the logger needs the path of its configuration');
  const config = read(file);
  mkdirSync(config.dir, { recursive: true, mode: 0o700 });
  const leave = claimFolder(config.dir, 'logger');
  const logger = await Logger.start({
    ...LOGGER_DEFAULTS,
    dir: config.dir, host: config.host, port: config.port, log,
    auth: {
      users: config.users ? new Map(Object.entries(config.users).map(([user, verifier]) => [user, parseVerifier(verifier)])) : null,
      tls: config.tls && { key: readFileSync(config.tls.key), cert: readFileSync(config.tls.cert) },
      requireTls: config.tls?.required ?? false,
    },
    purge: { ...LOGGER_DEFAULTS.purge, ...config.purge },
    spares: config.spares ?? LOGGER_DEFAULTS.spares,
    keepaliveMs: config.keepaliveMs ?? LOGGER_DEFAULTS.keepaliveMs,
    timeoutMs: config.timeoutMs ?? LOGGER_DEFAULTS.timeoutMs,
    packetBytes: config.packetBytes ?? LOGGER_DEFAULTS.packetBytes,
  });
  const control = new ControlServer(config.control, logger);
  await control.listen();
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    control.stop().then(() => logger.stop()).then(leave).catch((error: unknown) => {
      log('error', String(error));
      process.exitCode = 1;
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main(process.argv[2]).catch(endWith);
