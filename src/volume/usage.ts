/**
 * Who occupies how much of a volume. Neither file system keeps this number: btrfs quotas would, at a cost to every
 * commit. So the physical extents of all members' files are read (FIEMAP) and compared: bytes that only one member
 * refers to are its own. Extents of files that have not changed are remembered.
 */
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import type { DriverName } from '../group/model.ts';
import { canReadExtents, extentBytes, readExtents, type Extents } from './extents.ts';
import { accountRanges } from './ranges.ts';

export interface UsageMember {
  name: string;
  /** The member's folder. */
  dir: string;
}

/** Bytes throughout. */
export interface VolumeUsage {
  /** The file system's size and what an ordinary user may still write. */
  total: number;
  free: number;
  /** What the file system has allocated to anything at all, its own metadata and other people's files included. */
  occupied: number;
  /** What the members would occupy without sharing. */
  logical: number;
  /** What two or more members refer to, counted once. */
  shared: number;
  members: { name: string; logical: number; exclusive: number }[];
  /** False where sharing could not be seen; `note` then says why. */
  exact: boolean;
  note: string | null;
}

interface FileSeen {
  path: string;
  /** Changes when the file's content or extents may have. */
  version: string;
  allocated: number;
  settled: boolean;
}

/** What is known of files that have not changed since; a Volume keeps one. */
export type UsageMemory = Map<string, { version: string; extents: Extents }>;

/** Extents remembered at most: 16 bytes each. */
const REMEMBERED = 400_000;

/**
 * A file changed less than this ago may still get other extents when the kernel writes it out, which changes no
 * time stamp (vm.dirty_expire_centisecs is 30 s by default).
 */
const SETTLED_MS = 120_000;

/** @throws the system error of a folder that cannot be read; a member without a folder occupies nothing. */
export async function measureUsage(
  volume: string,
  driver: DriverName,
  members: readonly UsageMember[],
  memory: UsageMemory = new Map(),
): Promise<VolumeUsage> {
  const fs = await statfs(volume);
  const space = { total: fs.blocks * fs.bsize, free: fs.bavail * fs.bsize, occupied: (fs.blocks - fs.bfree) * fs.bsize };
  const files = await Promise.all(members.map(({ dir }) => filesOf(dir)));
  const byExtents = driver !== 'copy' && (await canReadExtents());
  if (!byExtents) {
    const sizes = files.map((list) => list.reduce((sum, { allocated }) => sum + allocated, 0));
    const exact = driver === 'copy';
    return {
      ...space,
      logical: sizes.reduce((sum, size) => sum + size, 0),
      shared: 0,
      members: members.map(({ name }, i) => ({ name, logical: sizes[i]!, exclusive: exact ? sizes[i]! : 0 })),
      exact,
      note: exact ? null : 'what is shared cannot be seen: filefrag is missing (apt install e2fsprogs)',
    };
  }
  const extents: Extents[][] = [];
  const next: UsageMemory = new Map();
  const room = { extents: REMEMBERED };
  for (const list of files) extents.push(await extentsOf(list, memory, next, room));
  memory.clear();
  for (const [path, known] of next) memory.set(path, known);
  const logical = extents.map((list) => list.reduce((sum, one) => sum + extentBytes(one), 0));
  const account = accountRanges(extents);
  return {
    ...space,
    logical: logical.reduce((sum, size) => sum + size, 0),
    shared: account.shared,
    members: members.map(({ name }, i) => ({ name, logical: logical[i]!, exclusive: account.exclusive[i]! })),
    exact: true,
    note: null,
  };
}

/** The extents of the files, from `memory` where a file has not changed; what is worth it goes to `next`. */
async function extentsOf(files: readonly FileSeen[], memory: UsageMemory, next: UsageMemory, room: { extents: number }): Promise<Extents[]> {
  const unknown = files.filter(({ path, version }) => memory.get(path)?.version !== version).map(({ path }) => path);
  const read = await readExtents(unknown);
  const result: Extents[] = [];
  for (const { path, version, settled } of files) {
    const known = memory.get(path);
    const extents = known?.version === version ? known.extents : read.get(path);
    if (!extents) continue;
    result.push(extents);
    if (!settled || extents.length / 2 > room.extents) continue;
    room.extents -= extents.length / 2;
    next.set(path, { version, extents });
  }
  return result;
}

async function filesOf(dir: string): Promise<FileSeen[]> {
  const found: FileSeen[] = [];
  const now = Date.now();
  const folders = [dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(goneIs([]))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      if (!entry.isFile()) continue;
      const info = await lstat(path, { bigint: true }).catch(goneIs(null));
      if (info === null || info.size === 0n) continue;
      found.push({
        path,
        version: `${info.ino}/${info.size}/${info.mtimeNs}/${info.ctimeNs}/${info.blocks}`,
        allocated: Number(info.blocks) * 512,
        settled: now - Number(info.mtimeMs) > SETTLED_MS,
      });
    }
  }
  return found;
}

function goneIs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errnoOf(error) === 'ENOENT') return value;
    throw error;
  };
}
