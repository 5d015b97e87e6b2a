/**
 * Everything that would hinder a cluster, found before the first change: what is told here is not left half done
 * later. Looks at this machine; probes of file systems leave nothing behind.
 */
import { findPort } from '../agent/ports.ts';
import { findEngine, type Engine } from '../engine/find.ts';
import { postgresOsUser, requireUserName } from '../engine/osuser.ts';
import { PgorbitError, toReport, type ErrorReport } from '../errors.ts';
import type { ClusterSpec, VolumeSpec } from '../group/model.ts';
import { placeOf } from '../group/member/place.ts';
import { volumeOf } from '../group/on-volume.ts';
import { volumeFacts } from '../volume/facts.ts';
import { isMounted, requireRoom } from '../volume/image.ts';
import { imageFileOf, readImageRecord } from '../volume/image-record.ts';
import { readOwnMarker } from '../volume/marker.ts';
import { judgeSpace, readSpace } from '../volume/space.ts';
import { openVolume } from '../volume/volume.ts';
import { refuseBadSettings } from './engine-settings.ts';
import { nearestFolder } from './files.ts';
import { memoryFacts } from './machine.ts';
import { chooseImageFs, imageObstacle } from './plan/image.ts';
import { judgeMemory } from './plan/memory.ts';
import { storageOf } from './plan/storage.ts';
import { FIRST_AGENT_PORT, newMembers } from './plan/ports.ts';
import { volumesHere } from './plan/where.ts';

export interface PreflightInput {
  home: string;
  /** Null for a cluster that is to be made. */
  clusterId: string | null;
  before: ClusterSpec | null;
  after: ClusterSpec;
  /** Hosts whose agent runs: it holds its port. */
  running: readonly string[];
  /** Hosts elsewhere: their own agents look at them. */
  remote: readonly string[];
  /** Volumes that are mounted by a step of their own later (the demo's image). */
  mountedLater: readonly string[];
}

export interface PreflightAnswer {
  engine: Engine;
  notes: string[];
}

/** Throws the one thing that is wrong, or all of them in one error. */
export async function preflight(input: PreflightInput): Promise<PreflightAnswer> {
  const notes: string[] = [];
  const problems = await collect([
    ...Object.values(input.after.hosts).filter((host) => !input.remote.includes(host.name)).map((host) => () => checkHost(input, host.name)),
    ...newMembers(input.before, input.after).filter((member) => !input.remote.includes(member.host)).map((member) => () => checkMember(input, member)),
    ...volumesHere(input.after, input.remote).map((volume) => () => checkVolume(input, volume, notes)),
    () => checkMemory(input),
    async () => void (await postgresOsUser()),
    async () => requireUserName(),
  ]);
  if (problems.length > 0) throw together(problems);
  // Last, because it may copy the embedded engine into the home.
  const engine = await findEngine(input.after.engine, input.home);
  await refuseBadSettings(engine, input.after);
  return { engine, notes };
}

async function collect(checks: (() => Promise<void>)[]): Promise<ErrorReport[]> {
  const problems: ErrorReport[] = [];
  for (const check of checks) {
    try {
      await check();
    } catch (error) {
      const report = toReport(error);
      if (report.code === 'internal') throw error;
      if (!problems.some((known) => known.message === report.message)) problems.push(report);
    }
  }
  return problems;
}

function together(problems: ErrorReport[]): PgorbitError {
  const [first] = problems;
  if (first !== undefined && problems.length === 1) return PgorbitError.fromReport(first);
  const list = problems.map((problem) => `  - ${problem.message}${problem.hint === undefined ? '' : `\n    ${problem.hint}`}`);
  return new PgorbitError(first?.code ?? 'internal', `${problems.length} things stand in the way; nothing was changed:\n${list.join('\n')}`);
}

async function checkHost({ after, running }: PreflightInput, name: string): Promise<void> {
  const host = after.hosts[name];
  if (host === undefined || running.includes(name)) return;
  const exactly = host.port !== null;
  const port = await findPort({ address: host.address, from: host.port ?? FIRST_AGENT_PORT, except: [], exactly }).catch((error: unknown) => {
    throw error instanceof PgorbitError && error.code === 'host-unreachable' ? notHere(name, host.address) : error;
  });
  if (port === null) throw inUse(`the agent of host ${name}`, host.address, host.port ?? FIRST_AGENT_PORT);
}

const notHere = (name: string, address: string): PgorbitError =>
  new PgorbitError('host-unreachable', `host ${name} has the address ${address}, which is not this machine's, and no agent answers there`, {
    hint: 'correct the address, or run the agent where that address is: `pgorbit host token` makes a token for it',
  });

const inUse = (what: string, address: string, port: number): PgorbitError =>
  new PgorbitError('port-in-use', `port ${port} of ${address}, meant for ${what}, is in use by another program`, {
    hint: `\`ss -ltnp sport = :${port}\` names it; stop it, name another port, or name none and let pgorbit choose`,
  });

async function checkMember(input: PreflightInput, member: { group: string; member: string; host: string; address: string; port: number | null }): Promise<void> {
  const { home, after, clusterId } = input;
  if (member.port !== null) {
    const free = await findPort({ address: member.address, from: member.port, except: [], exactly: true });
    if (free === null) throw inUse(`member ${member.member}`, member.address, member.port);
  }
  const group = after.groups[member.group];
  const wanted = group?.members[member.member];
  if (group === undefined || wanted === undefined) return;
  const storage = storageOf(after, group, wanted);
  const { dir } = placeOf({ home, ...storage, cluster: after.cluster, clusterId: clusterId ?? '', group: group.name, member: wanted.name, host: wanted.host });
  // A new cluster has no id yet: whatever bears a marker is another's.
  await readOwnMarker(dir, { clusterId: clusterId ?? '', group: group.name, member: wanted.name });
  // Volumes are looked at as a whole.
  if (storage.volume !== null || wanted.volume !== null) return;
  const there = await nearestFolder(dir);
  const { level } = judgeSpace(await readSpace(there));
  if (level !== 'refuse' && level !== 'critical') return;
  throw new PgorbitError('volume-full', `member ${wanted.name} cannot be made in ${dir}: the file system there is nearly full`, { hint: `free space there (\`df -h ${there}\`), or give the member another \`path\`` });
}

async function checkVolume({ before, after, mountedLater }: PreflightInput, volume: VolumeSpec, notes: string[]): Promise<void> {
  if (mountedLater.includes(volume.path)) {
    const image = await readImageRecord(imageFileOf(volume.path));
    // One that an earlier `up` mounted can be looked at now.
    if (image === null || !(await isMounted(image))) return;
  }
  const there = await nearestFolder(volume.path);
  if (volume.size !== null && there !== volume.path) {
    const obstacle = imageObstacle(chooseImageFs(volume.driver, await volumeFacts()), await volumeFacts());
    if (obstacle !== null) throw PgorbitError.fromReport(obstacle);
    if ((await readImageRecord(imageFileOf(volume.path))) === null) await requireRoom(there, volume.size);
    return;
  }
  const opened = await openVolume(there, volume.driver);
  notes.push(`volume ${volume.name}: driver ${opened.driver}, because ${opened.why}`);
  const grows = newMembers(before, after).some((member) => isOn(after, member, volume.name));
  if (!grows) return;
  const { level, sentence } = judgeSpace(await readSpace(there));
  if (level === 'refuse' || level === 'critical') {
    throw new PgorbitError('volume-full', `no member can be made on volume ${volume.name} (${there}): ${sentence ?? 'it is full'}`, { hint: 'free space there, `pgorbit volume grow`, or name another path' });
  }
}

function isOn({ groups }: ClusterSpec, { group, member }: { group: string; member: string }, volume: string): boolean {
  const wanted = groups[group]?.members[member];
  return wanted !== undefined && groups[group] !== undefined && volumeOf(groups[group], wanted) === volume;
}

async function checkMemory({ after, remote }: PreflightInput): Promise<void> {
  const groups = Object.values(after.groups).map((group) => ({ group, count: Object.values(group.members).filter((member) => member.role !== 'logger' && !remote.includes(member.host)).length }));
  const problem = judgeMemory(groups, await memoryFacts());
  if (problem !== null) throw PgorbitError.fromReport(problem);
}
