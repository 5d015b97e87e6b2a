/**
 * From a manifest as written to a ClusterSpec. Total: what is wrong or missing becomes a placeholder, so that the
 * checks across parts can run on a manifest that also has mistakes of form; load.ts lets a spec out only when
 * nothing was found.
 */
import { resolve } from 'node:path';
import type { Commit, DriverName, EngineSpec, GroupSpec, HostSpec, MemberSpec, Storage, VolumeSpec, ClusterSpec } from '../group/model.ts';
import { ENGINE, GROUP, MEMBER, VOLUME } from './defaults.ts';
import { parseRatio, parseSize } from './units.ts';
import { roleOf } from './words.ts';

type Mapping = Record<string, unknown>;

/** The spec that `raw` describes; relative paths are taken from `baseDir`. */
export function normalise(raw: unknown, baseDir: string): ClusterSpec {
  const manifest = mapping(raw);
  const hosts = each(manifest['hosts'], host);
  const names = Object.keys(hosts);
  const onlyHost = names.length === 1 ? names[0]! : '';
  return {
    cluster: text(manifest['cluster']) ?? '',
    engine: engine(mapping(manifest['engine']), baseDir),
    hosts,
    volumes: each(manifest['volumes'], (name, value) => volume(name, value, baseDir)),
    groups: each(manifest['groups'], (name, value) => group(name, mapping(value), onlyHost)),
  };
}

function engine(value: Mapping, baseDir: string): EngineSpec {
  const bin = text(value['bin']);
  return { kind: 'postgres', version: number(value['version']) ?? ENGINE.version, bin: bin === undefined ? ENGINE.bin : resolve(baseDir, bin) };
}

function host(name: string, value: unknown): HostSpec {
  const full = mapping(value);
  return { name, address: text(value) ?? text(full['address']) ?? '', port: number(full['port']) ?? null };
}

function volume(name: string, value: unknown, baseDir: string): VolumeSpec {
  const full = mapping(value);
  const size = text(full['size']);
  return {
    name,
    path: resolve(baseDir, text(value) ?? text(full['path']) ?? ''),
    driver: (text(full['driver']) as DriverName | 'auto' | undefined) ?? VOLUME.driver,
    size: size === undefined ? VOLUME.size : parseSize(size),
  };
}

function group(name: string, value: Mapping, onlyHost: string): GroupSpec {
  const share = value['reclone_above'];
  return {
    name,
    storage: (text(value['storage']) as Storage | undefined) ?? GROUP.storage,
    volume: text(value['volume']) ?? null,
    commit: (text(value['commit']) as Commit | undefined) ?? GROUP.commit,
    settings: settings(value['settings']),
    failover: (text(value['failover']) as GroupSpec['failover'] | undefined) ?? GROUP.failover,
    recloneAbove: number(share) ?? parseRatio(text(share) ?? '') ?? GROUP.recloneAbove,
    checkpoint: (text(value['checkpoint']) as GroupSpec['checkpoint'] | undefined) ?? GROUP.checkpoint,
    electionTimeoutMs: GROUP.electionTimeoutMs,
    electionDelayMs: GROUP.electionDelayMs,
    preferredPrimary: GROUP.preferredPrimary,
    membershipTimeoutMs: GROUP.membershipTimeoutMs,
    joinLagBytes: GROUP.joinLagBytes,
    electableLagBytes: GROUP.electableLagBytes,
    withoutMajority: GROUP.withoutMajority,
    logger: GROUP.logger,
    members: each(value['members'], (member, v) => memberOf(member, v, onlyHost)),
  };
}

function memberOf(name: string, value: unknown, onlyHost: string): MemberSpec {
  const full = mapping(value);
  return {
    name,
    host: text(full['host']) ?? onlyHost,
    role: roleOf(text(value) ?? text(full['role']) ?? '') ?? MEMBER.role,
    port: number(full['port']) ?? null,
    volume: MEMBER.volume,
    path: MEMBER.path,
  };
}

/** Names in small letters: PostgreSQL compares them so, and two spellings of one name would both be written. */
function settings(value: unknown): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, v] of Object.entries(mapping(value))) found[name.toLowerCase()] = String(v ?? '');
  return found;
}

function each<T>(value: unknown, read: (name: string, value: unknown) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(mapping(value)).map(([name, v]) => [name, read(name, v)]));
}

const mapping = (value: unknown): Mapping => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {});
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
