/** What this machine has: memory, addresses. */
import { readFile, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import type { MemoryFacts } from './plan/memory.ts';

export async function memoryFacts(): Promise<MemoryFacts> {
  const limits = await Promise.all(['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'].map(limitIn));
  const shm = await statfs('/dev/shm').catch(() => null);
  return { memory: Math.min(totalmem(), ...limits.filter((limit) => limit !== null)), devShm: shm === null ? null : shm.bavail * shm.bsize };
}

/** A container's memory limit, or null where there is none (`max`, or v1's number that stands for none). */
async function limitIn(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch(() => 'max');
  const limit = Number(text.trim());
  return Number.isFinite(limit) && limit > 0 && limit < 2 ** 60 ? limit : null;
}
