/**
 * What an agent and its archiver tell each other, by files in a folder of the agent's: what is to be done, in one
 * direction, and how far it is, in the other. They are there as long as the archiver is to run.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readText, writeDurably } from '../../durable.ts';
import type { Account, Endpoint } from '../../group/model.ts';
import type { Progress } from './continuous.ts';

/** For the archiver. A process is for one repository and one epoch: with others there has to be another process. */
export interface ArchiverFile {
  cluster: string;
  clusterId: string;
  group: string;
  epoch: number;
  to: string;
  /** The repository is made where there is none. */
  make: boolean;
  flushMs: number;
  /** `slot`: one on that member, which the members' agents look after; null with a logger. */
  sources: (Endpoint & { slot: string | null })[];
  account: Account;
}

/** From the archiver. */
export interface ArchiverStatus extends Progress {
  pid: number;
  epoch: number;
  /** When this was written, ms since 1970. */
  at: number;
}

export const configFile = (dir: string): string => join(dir, 'archiver.json');
const statusFile = (dir: string): string => join(dir, 'status.json');
export const logFile = (dir: string): string => join(dir, 'archiver.log');

/** Null where there is none. */
export const readConfig = (dir: string): Promise<ArchiverFile | null> => readJson(configFile(dir));

/** It holds a password. */
export function writeConfig(dir: string, file: ArchiverFile): Promise<void> {
  return writeDurably(configFile(dir), `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
}

/** Null where there is none. */
export const readStatus = (dir: string): Promise<ArchiverStatus | null> => readJson(statusFile(dir));

/** Whole, but not durable: after a crash of the machine there is another process. */
export async function writeStatus(dir: string, status: ArchiverStatus): Promise<void> {
  const aside = `${statusFile(dir)}.tmp`;
  await writeFile(aside, `${JSON.stringify(status)}\n`, { mode: 0o600 });
  await rename(aside, statusFile(dir));
}

export const forgetStatus = (dir: string): Promise<void> => rm(statusFile(dir), { force: true });

async function readJson<T>(file: string): Promise<T | null> {
  const text = await readText(file);
  try {
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null; // cut short by a power failure
  }
}
