/** What an agent must remember of a member's last start, so that its own restart starts nothing twice. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readText, writeDurably } from '../../durable.ts';
import { replaceFile } from '../../engine/files.ts';
import type { ProcessId } from '../../engine/proc.ts';

export interface Runtime {
  /** The record's `restarts` that postgres was last started for. */
  restarts: number;
  incarnation: number;
}

export const runtimeFile = (homeDir: string): string => join(homeDir, 'runtime.json');

/** A file that is missing or torn means: never started. The worst that follows is one more start that finds a running server. */
export async function readRuntime(homeDir: string): Promise<Runtime> {
  try {
    const { restarts, incarnation } = JSON.parse(await readFile(runtimeFile(homeDir), 'utf8')) as Partial<Runtime>;
    return { restarts: Number(restarts ?? 0), incarnation: Number(incarnation ?? 0) };
  } catch {
    return { restarts: 0, incarnation: 0 };
  }
}

export async function writeRuntime(homeDir: string, runtime: Runtime): Promise<void> {
  await replaceFile(runtimeFile(homeDir), `${JSON.stringify(runtime)}\n`);
}

const askedFile = (homeDir: string): string => join(homeDir, 'promotion-asked');

/** Tells one process from all others of this machine. */
export const processKey = ({ pid, startTime, bootId }: ProcessId): string => `${pid} ${startTime} ${bootId}`;

/** The postmaster that was asked to promote last, as processKey(); null for none. */
export const readPromotionAsked = (homeDir: string): Promise<string | null> => readText(askedFile(homeDir));

export const writePromotionAsked = (homeDir: string, key: string): Promise<void> => writeDurably(askedFile(homeDir), key);
