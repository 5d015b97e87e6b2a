/** What this machine has: memory, addresses. */
import { readFile, statfs } from 'node:fs/promises';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces, totalmem } from 'node:os';
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

/** Where machines have several addresses: those that count as this one's, separated by commas. */
const LOCAL_ADDRESSES = 'PGORBIT_LOCAL_ADDRESSES';

/** Tells for addresses (or names, which are looked up once) whether they are this machine's. */
export async function ownAddresses(addresses: readonly string[], env: NodeJS.ProcessEnv): Promise<(address: string) => boolean> {
  const own = new Set<string>();
  for (const address of new Set(addresses)) if (await isOwn(address, env)) own.add(address);
  return (address) => own.has(address);
}

async function isOwn(address: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const said = env[LOCAL_ADDRESSES]?.split(',').map((one) => one.trim());
  if (said !== undefined) return said.includes(address);
  // A name that nobody knows may be one that only the other machines know.
  const found = isIP(address) === 0 ? (await lookup(address, { all: true }).catch(() => [])).map((one) => one.address) : [address];
  const here = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address)));
  return found.some((one) => here.has(one) || one === '::1' || one.startsWith('127.') || one === '0.0.0.0' || one === '::');
}
