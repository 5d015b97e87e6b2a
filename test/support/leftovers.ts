/**
 * What clusters below one folder have outside their files: processes, mounts, loop devices, cgroups. `findLeftovers`
 * says what is there, `clearLeftovers` ends and releases it. Only what is proved to belong to the folder is touched:
 * processes by the pid files below it and their identity, mounts by their source, cgroups by the cluster's id.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runningAgent } from '../../src/agent/pid-file.ts';
import { findCgroup, ownCgroup, unifiedMount } from '../../src/engine/cgroup.ts';
import { adoptPostgres } from '../../src/engine/postmaster.ts';
import { allPids, identify, isAlive, sendSignal, type ProcessId } from '../../src/engine/proc.ts';
import { sleep } from '../../src/lifecycle.ts';
import { runProgram } from './program.ts';

export interface Leftovers {
  agents: { dir: string; id: ProcessId }[];
  postmasters: { dataDir: string; id: ProcessId }[];
  /** Mount points, those that lie deeper first. */
  mounts: string[];
  loops: string[];
  /** Names below pgorbit's own cgroup. */
  cgroups: string[];
}

export const isNothing = (left: Leftovers): boolean => Object.values(left).every((list: unknown[]) => list.length === 0);

/** In words, for a message; "" for nothing. */
export function describeLeftovers(left: Leftovers): string {
  return [
    ...left.agents.map(({ dir, id }) => `agent ${id.pid} of ${dir}`),
    ...left.postmasters.map(({ dataDir, id }) => `postmaster ${id.pid} in ${dataDir}`),
    ...left.mounts.map((mount) => `mount ${mount}`),
    ...left.loops.map((loop) => `loop device ${loop}`),
    ...left.cgroups.map((name) => `cgroup ${name}`),
  ].join(', ');
}

/** @param folder holds the homes. @param volumes are volumes that lie elsewhere. */
export async function findLeftovers(folder: string, volumes: readonly string[] = []): Promise<Leftovers> {
  const [agents, postmasters] = await Promise.all([findAgents(folder), findPostmasters([folder, ...volumes])]);
  const loops = loopsBelow(folder);
  return { agents, postmasters, mounts: await mountsOf(folder, loops), loops, cgroups: await cgroupsOf(folder) };
}

/** Agents first, so that nothing starts again what is ended after them. Throws where something resists. */
export async function clearLeftovers(folder: string, volumes: readonly string[] = []): Promise<void> {
  await endAgents(folder);
  // By name and through cgroup.kill: also what a postmaster that is dead already left behind.
  for (const name of await cgroupsOf(folder)) {
    const cgroup = await findCgroup(name);
    await cgroup?.kill();
    await cgroup?.remove();
  }
  for (const { id } of await findPostmasters([folder, ...volumes])) await kill(id, 'postmaster');
  const loops = loopsBelow(folder);
  for (const mount of await mountsOf(folder, loops)) await unmount(mount);
  for (const loop of loops) await detach(loop, folder);
  const left = await findLeftovers(folder, volumes);
  if (!isNothing(left)) throw new Error(`left over below ${folder}: ${describeLeftovers(left)}`);
}

export async function endAgents(folder: string): Promise<void> {
  for (const { id } of await findAgents(folder)) await kill(id, 'agent');
}

/** A device that is still in use is detached by the kernel a moment later. */
async function detach(loop: string, folder: string): Promise<void> {
  await runProgram('losetup', ['-d', loop]);
  for (let left = 50; left > 0 && loopsBelow(folder).includes(loop); left -= 1) await sleep(100);
}

async function kill(id: ProcessId, what: string): Promise<void> {
  sendSignal(id.pid, 'SIGKILL');
  const end = performance.now() + 10_000;
  while (isAlive(id)) {
    if (performance.now() > end) throw new Error(`${what} ${id.pid} survives SIGKILL`);
    await sleep(10);
  }
}

/** A backend whose postmaster was killed takes a moment to notice: until then the mount is busy. */
async function unmount(mountPoint: string): Promise<void> {
  for (let left = 50; left > 0; left -= 1) {
    if ((await runProgram('umount', [mountPoint])).code === 0) break;
    if (left === 1) await runProgram('umount', ['-l', mountPoint]);
    await sleep(100);
  }
  if (mountPoint.startsWith(RUN)) await runProgram('rmdir', [mountPoint, mountPoint.slice(0, -'/dir'.length)]);
}

async function findAgents(folder: string): Promise<Leftovers['agents']> {
  const found: Leftovers['agents'] = [];
  for (const file of filesNamed(folder, 'agent.pid', 6)) {
    const dir = file.slice(0, -'/agent.pid'.length);
    const id = await runningAgent(dir);
    if (id !== null) found.push({ dir, id });
  }
  // Those, too, whose pid file is gone or was never written.
  for (const pid of allPids()) {
    const id = identify(pid);
    const home = homeOf(pid);
    if (id !== null && home !== null && isBelow(home, folder) && !found.some((one) => one.id.pid === pid)) found.push({ dir: home, id });
  }
  return found;
}

/** What follows `--home` in the command line of an agent; null for other processes. */
function homeOf(pid: number): string | null {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return argv.some((word) => /\/agent\/main\.[jt]s$/.test(word)) ? (argv[argv.indexOf('--home') + 1] ?? null) : null;
  } catch {
    return null;
  }
}

async function findPostmasters(roots: readonly string[]): Promise<Leftovers['postmasters']> {
  const found = new Map<number, Leftovers['postmasters'][number]>();
  for (const file of roots.flatMap((root) => filesNamed(root, 'postmaster.pid', 7))) {
    const dataDir = file.slice(0, -'/postmaster.pid'.length);
    const postmaster = await adoptPostgres(dataDir);
    postmaster?.release();
    if (postmaster !== null) found.set(postmaster.id.pid, { dataDir, id: postmaster.id });
  }
  return [...found.values()];
}

/** Paths of files of that name, not deeper than `depth` folders. */
function filesNamed(folder: string, name: string, depth: number): string[] {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    // Gone, or not for us: then nothing of ours is in it.
    return [];
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return depth > 0 && entry.name !== 'base' ? filesNamed(path, name, depth - 1) : [];
    return entry.name === name ? [path] : [];
  });
}

const RUN = '/run/pgorbit/';

/** Mount points below the folder, bind mounts of what is in it, and whatever lies on one of `loops`. Fields: proc_pid_mountinfo(5). */
async function mountsOf(folder: string, loops: readonly string[]): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line !== '');
  const points = lines.flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ');
    const [, , , root = '', point = ''] = head.split(' ');
    const source = tail.split(' ')[1] ?? '';
    const ours = isBelow(point, folder) || (point.startsWith(RUN) && isBelow(root, folder)) || loops.includes(source);
    return ours ? [point] : [];
  });
  return points.toReversed();
}

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

/** Loop devices whose image lies below the folder. */
function loopsBelow(folder: string): string[] {
  return readdirSync('/sys/block').filter((name) => {
    if (!name.startsWith('loop')) return false;
    try {
      return isBelow(readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim().replace(/ \(deleted\)$/, ''), folder);
    } catch {
      return false; // not attached
    }
  }).map((name) => `/dev/${name}`);
}

/** The cgroups of the clusters whose admin/cluster.json lies below the folder (src/group/member/place.ts names them). */
async function cgroupsOf(folder: string): Promise<string[]> {
  const mount = unifiedMount(await readFile('/proc/mounts', 'utf8'));
  if (mount === null) return [];
  const own = process.getuid?.() === 0 ? '' : ownCgroup(await readFile('/proc/self/cgroup', 'utf8'));
  let present: string[];
  try {
    present = readdirSync(join(mount, own, 'pgorbit'));
  } catch {
    return [];
  }
  const prefixes = filesNamed(folder, 'cluster.json', 4).map((file) => {
    const { cluster, clusterId } = JSON.parse(readFileSync(file, 'utf8')) as { cluster: string; clusterId: string };
    return `${cluster}-${clusterId.slice(0, 8)}-`;
  });
  return present.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)));
}
