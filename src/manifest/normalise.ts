/**
 * From a manifest as written to a ClusterSpec. Total: what is wrong or missing becomes a placeholder, so that the
 * checks across parts can run on a manifest that also has mistakes of form; load.ts lets a spec out only when
 * nothing was found.
 */
import { resolve } from 'node:path';
import type { ArchiveSettings, Commit, DriverName, EngineSpec, GroupSpec, HostSpec, LoggerSettings, MemberSpec, Storage, VolumeSpec, ClusterSpec } from '../group/model.ts';
import { ARCHIVE, ENGINE, GROUP, MEMBER, VOLUME } from './defaults.ts';
import { parseDuration, parseRatio, parseSize } from './units.ts';
import { OBJECT_STORE, roleOf } from './words.ts';

type Mapping = Record<string, unknown>;

/** The spec that `raw` describes; relative paths are taken from `baseDir`. */
export function normalise(raw: unknown, baseDir: string): ClusterSpec {
  const manifest = mapping(raw);
  const hosts = each(manifest['hosts'], host);
  const names = Object.keys(hosts);
  const standbyOf = text(manifest['standby_of']);
  const onlyHost = names.length === 1 ? names[0]! : '';
  return {
    cluster: text(manifest['cluster']) ?? '',
    ...(standbyOf === undefined ? {} : { standbyOf }),
    engine: engine(mapping(manifest['engine']), baseDir),
    hosts,
    volumes: each(manifest['volumes'], (name, value) => volume(name, value, baseDir)),
    groups: each(manifest['groups'], (name, value) => group(name, mapping(value), onlyHost, baseDir)),
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

function group(name: string, value: Mapping, onlyHost: string, baseDir: string): GroupSpec {
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
    electionTimeoutMs: duration(value['election_timeout']) ?? GROUP.electionTimeoutMs,
    electionDelayMs: duration(value['election_delay']) ?? GROUP.electionDelayMs,
    preferredPrimary: text(value['preferred_primary']) ?? GROUP.preferredPrimary,
    membershipTimeoutMs: duration(value['membership_timeout']) ?? GROUP.membershipTimeoutMs,
    joinLagBytes: bytes(value['join_lag']) ?? GROUP.joinLagBytes,
    electableLagBytes: bytes(value['electable_lag']) ?? GROUP.electableLagBytes,
    withoutMajority: (text(value['without_majority']) as GroupSpec['withoutMajority'] | undefined) ?? GROUP.withoutMajority,
    logger: logger(mapping(value['logger'])),
    archive: archive(value['archive'], baseDir),
    members: each(value['members'], (member, v) => memberOf(member, v, onlyHost, baseDir)),
  };
}

function logger(value: Mapping): LoggerSettings {
  const { purge } = value;
  return {
    purge: typeof purge === 'boolean' ? purge : GROUP.logger.purge,
    purgeEveryMs: duration(value['purge_every']) ?? GROUP.logger.purgeEveryMs,
    keepBytes: bytes(value['keep']) ?? GROUP.logger.keepBytes,
    keepMs: duration(value['keep_for']) ?? GROUP.logger.keepMs,
    maxBytes: bytes(value['limit']) ?? GROUP.logger.maxBytes,
    sendTimeoutMs: duration(value['send_timeout']) ?? GROUP.logger.sendTimeoutMs,
    packetBytes: bytes(value['packet']) ?? GROUP.logger.packetBytes,
  };
}

function archive(value: unknown, baseDir: string): ArchiveSettings | null {
  const full = mapping(value);
  const to = text(value) ?? text(full['to']);
  if (to === undefined) return GROUP.archive;
  const remote = OBJECT_STORE.test(to);
  const { hosts } = full;
  return {
    to: remote ? to : resolve(baseDir, to),
    source: (text(full['source']) as ArchiveSettings['source'] | undefined) ?? null,
    flushMs: duration(full['flush']) ?? (remote ? ARCHIVE.objectStoreFlushMs : ARCHIVE.flushMs),
    hosts: Array.isArray(hosts) ? hosts.filter((one): one is string => typeof one === 'string') : null,
  };
}

function memberOf(name: string, value: unknown, onlyHost: string, baseDir: string): MemberSpec {
  const full = mapping(value);
  const path = text(full['path']);
  return {
    name,
    host: text(full['host']) ?? onlyHost,
    role: roleOf(text(value) ?? text(full['role']) ?? '') ?? MEMBER.role,
    port: number(full['port']) ?? null,
    volume: text(full['volume']) ?? MEMBER.volume,
    path: path === undefined ? MEMBER.path : resolve(baseDir, path),
    source: text(full['source']) ?? MEMBER.source,
    rate: bytes(full['rate']) ?? MEMBER.rate,
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
const duration = (value: unknown): number | null => parseDuration(text(value) ?? '');
const bytes = (value: unknown): number | null => parseSize(text(value) ?? '');
