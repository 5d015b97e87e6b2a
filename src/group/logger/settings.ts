/** The configuration of a logger's process, from record, manifest and secrets. Pure. */
import { createHash } from 'node:crypto';
import type { LoggerTunables } from '../../wal/logger/logger.ts';
import type { LoggerFile } from '../../wal/logger/main.ts';
import { formatVerifier, makeVerifier } from '../../wire/scram.ts';
import type { Account, LoggerSettings, MemberRecord } from '../model.ts';

/** Beats to a follower, at most this far apart. */
const KEEPALIVE_MS = 2_000;

/** What a running logger takes over at once. */
export function tunablesOf(settings: LoggerSettings): LoggerTunables {
  const { purge, purgeEveryMs, keepBytes, keepMs, maxBytes, sendTimeoutMs, packetBytes } = settings;
  return {
    purge: { enabled: purge, everyMs: purgeEveryMs, keepBytes, keepMs, maxBytes },
    // A follower answers a beat when it is asked to, from half of the timeout on: several have to fit in.
    keepaliveMs: Math.min(KEEPALIVE_MS, Math.ceil(sendTimeoutMs / 4)),
    timeoutMs: sendTimeoutMs,
    packetBytes,
  };
}

/** @param paths as the logger's own user reaches them. */
export function loggerFile(
  paths: { dir: string; control: string },
  record: Pick<MemberRecord, 'address' | 'port'>,
  settings: LoggerSettings,
  users: Record<string, string>,
): LoggerFile {
  return { ...paths, host: record.address, port: record.port, users, ...tunablesOf(settings) };
}

/**
 * The account's SCRAM verifier. Its salt follows from whose it is, so that the file of unchanged settings is unchanged:
 * the password is random already, and a salt need not be secret.
 */
export function verifierOf(account: Account, owner: string): Record<string, string> {
  const salt = createHash('sha256').update(`${owner}\0${account.user}`).digest().subarray(0, 16);
  return { [account.user]: formatVerifier(makeVerifier(account.password, salt)) };
}

/** How far `running` is from `wanted`; where its folder and socket lie does not change while it runs. */
export function compareSettings(running: LoggerFile, wanted: LoggerFile): 'same' | 'tune' | 'restart' {
  const fixed = ({ host, port, users }: LoggerFile): string => JSON.stringify([host, port, users]);
  const tunable = ({ purge, keepaliveMs, timeoutMs, packetBytes }: LoggerFile): string => JSON.stringify([purge, keepaliveMs, timeoutMs, packetBytes]);
  if (fixed(running) !== fixed(wanted)) return 'restart';
  return tunable(running) === tunable(wanted) ? 'same' : 'tune';
}
