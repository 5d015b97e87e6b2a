/** Does a machine have the shared memory that members ask for? Pure: sizes in, a judgement out. */
import type { ErrorReport } from '../../errors.ts';
import type { GroupSpec } from '../../group/model.ts';

export interface MemoryFacts {
  /** Bytes that processes here may use: the machine's, or the container's limit where that is less. */
  memory: number;
  /** Bytes free in /dev/shm, or null where it is not there. */
  devShm: number | null;
}

/** PostgreSQL's defaults (config.sgml, runtime-config-resource). */
const SHARED_BUFFERS = 128 * 1024 * 1024;
/** What a server with no parallel query under way keeps in /dev/shm: its control segment and pgstat's, rounded up. */
const SMALLEST_SEGMENT = 2 * 1024 * 1024;
const BLOCK = 8192;
const UNIT: Record<string, number> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3, tb: 1024 ** 4 };

/** A memory setting in bytes; without a unit it counts `unit` bytes. Null when it is no size. */
export function memorySetting(value: string, unit: number): number | null {
  const match = /^\s*'?\s*(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|tb)?\s*'?\s*$/i.exec(value);
  if (match === null) return null;
  return Number(match[1]) * (match[2] === undefined ? unit : (UNIT[match[2].toLowerCase()] ?? 1));
}

/** What the members of these groups, `count` of each on this machine, need and do not get; null when all is well. */
export function judgeMemory(groups: readonly { group: GroupSpec; count: number }[], facts: MemoryFacts): ErrorReport | null {
  let buffers = 0;
  let segments = 0;
  let count = 0;
  for (const { group, count: members } of groups) {
    const { settings } = group;
    buffers += members * (memorySetting(settings['shared_buffers'] ?? '', BLOCK) ?? SHARED_BUFFERS);
    count += members;
    if ((settings['dynamic_shared_memory_type'] ?? 'posix') === 'posix') {
      segments += members * (SMALLEST_SEGMENT + (memorySetting(settings['min_dynamic_shared_memory'] ?? '', 1024 ** 2) ?? 0));
    }
  }
  if (buffers > facts.memory) {
    return {
      code: 'shared-memory',
      message: `the ${count} members on this machine want ${mb(buffers)} of shared_buffers together, and it has ${mb(facts.memory)} of memory`,
      hint: `set shared_buffers lower: a quarter of the memory for all of them would be ${mb(facts.memory / 4 / Math.max(1, count))} each`,
    };
  }
  if (segments > 0 && facts.devShm === null) {
    return { code: 'shared-memory', message: '/dev/shm is not there, and PostgreSQL keeps shared memory in it', hint: 'mount -t tmpfs tmpfs /dev/shm, or set dynamic_shared_memory_type to mmap' };
  }
  if (facts.devShm !== null && segments > facts.devShm) {
    return {
      code: 'shared-memory',
      message: `/dev/shm has ${mb(facts.devShm)} free, and the ${count} members on this machine want ${mb(segments)}`,
      hint: 'mount -o remount,size=1G /dev/shm (docker: --shm-size=1g), or set dynamic_shared_memory_type to mmap',
    };
  }
  return null;
}

const mb = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MB`;
