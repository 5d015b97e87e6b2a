/** What turns the cluster in force into the one that a manifest asks for, and what of it cannot be done in place. */
import type { ArchiveSettings, ClusterSpec, EngineSpec, GroupSpec, HostSpec, LoggerSettings, MemberSpec, VolumeSpec } from '../group/model.ts';
import type { Change } from './change.ts';
import { needsRestart } from './restart.ts';
import { formatDuration, formatSize } from './units.ts';

export { formatChanges } from './change.ts';
export type { Change } from './change.ts';

type Refusal = NonNullable<Change['refused']>;

/**
 * The changes from `before` (null: nothing is there yet) to `after`, in the order in which a person reads them. Empty
 * when nothing differs. `running` is the major version that runs, where it is known: with it a manifest that starts
 * or ceases to name that version asks for nothing. Pure.
 */
export function diffSpecs(before: ClusterSpec | null, after: ClusterSpec, running: number | null = null): Change[] {
  if (before === null) {
    return [
      plus('cluster', after.cluster, null, after.standbyOf === undefined ? null : `standby of ${after.standbyOf}`),
      ...Object.values(after.hosts).map((h) => plus('host', h.name, null, h.address)),
      ...Object.values(after.volumes).map((v) => plus('volume', v.name, null, volumeDetail(v))),
      ...Object.values(after.groups).flatMap(wholeGroup),
    ];
  }
  if (before.cluster !== after.cluster) {
    return [change('cluster', before.cluster, null, 'name', before.cluster, after.cluster, 'nothing', {
      reason: 'a cluster keeps its name: folders, slots and certificates carry it',
      instead: `put \`cluster: ${before.cluster}\` back, or run \`pgorbit up\` with this manifest where no cluster is chosen: that makes a new one`,
    })];
  }
  const major = running ?? after.engine.version;
  return [
    ...siteChanges(before.standbyOf, after.standbyOf),
    ...engineChanges(before.engine, after.engine, running),
    ...pairs(before.hosts, after.hosts, (h) => [plus('host', h.name, null, h.address)], hostChanges, (h) => [minus('host', h.name, null, h.address)]),
    ...pairs(before.volumes, after.volumes, (v) => [plus('volume', v.name, null, volumeDetail(v))], volumeChanges, (v) => [minus('volume', v.name, null, v.path)]),
    ...pairs(before.groups, after.groups, wholeGroup, (b, a) => groupChanges(b, a, major), (g) => [minus('group', g.name, null, `${Object.keys(g.members).length} members`, {
      reason: 'to remove a group is to delete its data',
      instead: `put group ${g.name} back; \`pgorbit destroy --yes\` deletes the cluster as a whole`,
    })]),
  ];
}

/** How a cluster began; to leave it out later says nothing. */
function siteChanges(before: string | undefined, after: string | undefined): Change[] {
  if (after === undefined || before === after) return [];
  return [change('cluster', after, null, 'standby_of', before ?? 'none', after, 'nothing', {
    reason: 'a cluster begins as a standby of another, or never becomes one: it has data of its own',
    instead: 'leave `standby_of` out; make another cluster with it',
  })];
}

function wholeGroup(g: GroupSpec): Change[] {
  const detail = `${g.storage} storage${g.volume === null ? '' : ` on ${g.volume}`}, commit ${g.commit}`;
  return [plus('group', g.name, null, detail), ...Object.values(g.members).map((m) => plus('member', m.name, g.name, memberDetail(m)))];
}

function engineChanges(b: EngineSpec, a: EngineSpec, running: number | null): Change[] {
  const changes: Change[] = [];
  const was = running ?? b.version;
  const will = a.version ?? was;
  if (will !== was) {
    changes.push(change('engine', 'postgres', null, 'version', b.version === null && running === null ? 'newest' : String(was), String(will), 'restart', was === null ? null : {
      reason: 'the files of one major version are not readable for another',
      instead: `put \`version: ${was}\` back; make a cluster of version ${will} beside this one and move the data with pg_dump or logical replication`,
    }));
  }
  if (a.bin !== b.bin) changes.push(change('engine', 'postgres', null, 'bin', b.bin ?? 'searched for', a.bin ?? 'searched for', 'restart'));
  return changes;
}

function hostChanges(b: HostSpec, a: HostSpec): Change[] {
  const instead = 'add a host of another name, add members there, and remove this one';
  const changes: Change[] = [];
  if (a.address !== b.address) {
    changes.push(change('host', a.name, null, 'address', b.address, a.address, 'nothing', { reason: 'agents, members and certificates know the host by its address', instead }));
  }
  if (a.port !== null && a.port !== b.port) {
    const refused = b.port === null ? null : { reason: 'the other agents know this one by its port', instead };
    changes.push(change('host', a.name, null, 'port', b.port === null ? 'chosen' : String(b.port), String(a.port), 'nothing', refused ?? { reason: 'the agent listens on a port of its choice already', instead: 'leave the port out, or give the one that `pgorbit status` shows' }));
  }
  return changes;
}

function volumeChanges(b: VolumeSpec, a: VolumeSpec): Change[] {
  const changes: Change[] = [];
  const differ = (field: string, from: string, to: string, refused: Refusal | null): void => {
    changes.push(change('volume', a.name, null, field, from, to, 'nothing', refused));
  };
  if (a.path !== b.path) differ('path', b.path, a.path, { reason: 'the members live in the old folder', instead: 'put the old path back; a volume of another name may lie elsewhere' });
  if (a.driver !== b.driver && a.driver !== 'auto' && b.driver !== 'auto') {
    differ('driver', b.driver, a.driver, { reason: 'the members were made by the old driver', instead: `put \`driver: ${b.driver}\` back; a volume of another name may have another driver` });
  } else if (a.driver !== b.driver) differ('driver', b.driver, a.driver, null);
  if (a.size !== null && a.size !== b.size) {
    const grows = b.size !== null && a.size > b.size;
    differ('size', b.size === null ? 'that of its file system' : formatSize(b.size), formatSize(a.size), grows ? null : b.size === null
      ? { reason: 'the volume is no image file of its own, so that its file system gives the size', instead: 'leave `size` out' }
      : { reason: 'a volume grows, and never shrinks', instead: `put \`size: ${formatSize(b.size)}\` back` });
  }
  return changes;
}

function groupChanges(b: GroupSpec, a: GroupSpec, major: number | null): Change[] {
  const fixed = (field: 'storage' | 'volume', from: string, to: string): Change[] => (from === to ? [] : [change('group', a.name, null, field, from, to, 'nothing', {
    reason: 'the data of the members lies there',
    instead: `put \`${field}: ${from}\` back; make another group and move the data with pg_dump or logical replication`,
  })]);
  const free = (field: string, from: string, to: string): Change[] => (from === to ? [] : [change('group', a.name, null, field, from, to)]);
  return [
    ...fixed('storage', b.storage, a.storage),
    ...(a.storage === b.storage ? fixed('volume', b.volume ?? 'none', a.volume ?? 'none') : []),
    ...free('commit', b.commit, a.commit),
    ...free('failover', b.failover, a.failover),
    ...free('reclone_above', percent(b.recloneAbove), percent(a.recloneAbove)),
    ...free('checkpoint', b.checkpoint, a.checkpoint),
    ...free('election_timeout', formatDuration(b.electionTimeoutMs), formatDuration(a.electionTimeoutMs)),
    ...free('election_delay', formatDuration(b.electionDelayMs), formatDuration(a.electionDelayMs)),
    ...free('preferred_primary', b.preferredPrimary ?? 'none', a.preferredPrimary ?? 'none'),
    ...free('membership_timeout', formatDuration(b.membershipTimeoutMs), formatDuration(a.membershipTimeoutMs)),
    ...free('join_lag', formatSize(b.joinLagBytes), formatSize(a.joinLagBytes)),
    ...free('electable_lag', formatSize(b.electableLagBytes), formatSize(a.electableLagBytes)),
    ...free('without_majority', b.withoutMajority, a.withoutMajority),
    ...loggerFields(b.logger).flatMap(([field, from], i) => free(`logger.${field}`, from, loggerFields(a.logger)[i]![1])),
    ...archiveChanges(b.archive, a.archive).flatMap(([field, from, to]) => free(`archive.${field}`, from, to)),
    ...settingChanges(b, a, major),
    ...pairs(b.members, a.members, (m) => [plus('member', m.name, a.name, memberDetail(m))], (x, y) => memberChanges(a.name, x, y), (m) => [
      minus('member', m.name, a.name, m.role === 'primary' ? 'primary' : null, m.role === 'primary' ? {
        reason: 'a primary is never removed',
        instead: `hand over first: \`pgorbit switchover\`, then \`pgorbit remove ${m.name}\``,
      } : null),
    ]),
  ];
}

/** The keys of `logger` with their values as a manifest writes them. */
const loggerFields = (logger: LoggerSettings): [field: string, value: string][] => [
  ['purge', String(logger.purge)],
  ['purge_every', formatDuration(logger.purgeEveryMs)],
  ['keep', formatSize(logger.keepBytes)],
  ['keep_for', formatDuration(logger.keepMs)],
  ['limit', formatSize(logger.maxBytes)],
  ['send_timeout', formatDuration(logger.sendTimeoutMs)],
  ['packet', formatSize(logger.packetBytes)],
];

/** A document of before the key has none. */
function archiveChanges(b: ArchiveSettings | null | undefined, a: ArchiveSettings | null): [field: string, from: string, to: string][] {
  if (!b || a === null) return [['to', b?.to ?? 'none', a?.to ?? 'none']];
  const fields = (one: ArchiveSettings): [string, string][] => [['to', one.to], ['source', one.source ?? 'chosen'], ['flush', formatDuration(one.flushMs)], ['hosts', one.hosts?.join(', ') ?? 'all']];
  return fields(b).map(([field, from], i) => [field, from, fields(a)[i]![1]]);
}

function settingChanges(b: GroupSpec, a: GroupSpec, major: number | null): Change[] {
  const names = [...new Set([...Object.keys(b.settings), ...Object.keys(a.settings)])];
  return names.flatMap((name) => {
    const from = Object.hasOwn(b.settings, name) ? b.settings[name]! : null;
    const to = Object.hasOwn(a.settings, name) ? a.settings[name]! : null;
    if (from === to) return [];
    return [{ ...change('group', a.name, null, name, from, to, needsRestart(name, major) ? 'restart' : 'reload'), setting: true }];
  });
}

function memberChanges(group: string, b: MemberSpec, a: MemberSpec): Change[] {
  const changes: Change[] = [];
  if (a.host !== b.host) {
    changes.push(change('member', a.name, group, 'host', b.host, a.host, 'nothing', {
      reason: 'a member stays on its host', instead: `put \`host: ${b.host}\` back, add a member of another name on ${a.host}, and remove ${a.name} when that one streams`,
    }));
  }
  const stays = (field: 'volume' | 'path', from: string | null, to: string | null, none: string): void => {
    if (from !== to) changes.push(change('member', a.name, group, field, from ?? none, to ?? none, 'nothing', {
      reason: `the data of ${a.name} lies there`,
      instead: `${from === null ? `leave \`${field}\` out` : `put \`${field}: ${from}\` back`}, add a member of another name in the new place, and remove ${a.name} when that one streams`,
    }));
  };
  stays('volume', b.volume, a.volume, "the group's");
  stays('path', b.path, a.path, "the agent's home");
  if (a.source !== b.source) changes.push(change('member', a.name, group, 'source', b.source ?? 'primary', a.source ?? 'primary'));
  if (a.rate !== b.rate) changes.push(change('member', a.name, group, 'rate', rateText(b.rate), rateText(a.rate)));
  if (a.role !== b.role) {
    const inPlace = elected(a.role) && elected(b.role);
    changes.push(change('member', a.name, group, 'role', b.role, a.role, inPlace ? 'switchover' : 'nothing', inPlace ? null : {
      reason: `a ${b.role} does not become a ${a.role} in place`, instead: `add a ${a.role} under another name, and remove ${a.name}`,
    }));
  }
  // A port that is no longer named stays what it is.
  if (a.port !== null && a.port !== b.port) changes.push(change('member', a.name, group, 'port', b.port === null ? 'chosen' : String(b.port), String(a.port), 'restart'));
  return changes;
}

const rateText = (rate: number | null): string => (rate === null ? 'unlimited' : `${formatSize(rate)}/s`);
const elected = (role: MemberSpec['role']): boolean => role === 'primary' || role === 'replica';

/** What differs, then what is new, then what goes. */
function pairs<T>(before: Record<string, T>, after: Record<string, T>, added: (a: T) => Change[], both: (b: T, a: T) => Change[], removed: (b: T) => Change[]): Change[] {
  const kept = Object.entries(after).filter(([name]) => Object.hasOwn(before, name));
  return [
    ...kept.flatMap(([name, a]) => both(before[name]!, a)),
    ...Object.entries(after).filter(([name]) => !Object.hasOwn(before, name)).flatMap(([, a]) => added(a)),
    ...Object.entries(before).filter(([name]) => !Object.hasOwn(after, name)).flatMap(([, b]) => removed(b)),
  ];
}

const BARE = { field: null, before: null, after: null, setting: false, needs: 'nothing' } as const;
const plus = (kind: Change['kind'], name: string, group: string | null, detail: string | null): Change => ({ ...BARE, op: '+', kind, name, group, detail, refused: null });
const minus = (kind: Change['kind'], name: string, group: string | null, detail: string | null, refused: Refusal | null = null): Change => ({ ...BARE, op: '-', kind, name, group, detail, refused });

function change(kind: Change['kind'], name: string, group: string | null, field: string, before: string | null, after: string | null, needs: Change['needs'] = 'nothing', refused: Refusal | null = null): Change {
  return { op: '~', kind, name, group, field, before, after, setting: false, needs: refused ? 'nothing' : needs, detail: null, refused };
}

const memberDetail = (m: MemberSpec): string => `${m.role} on ${m.host}${m.port === null ? '' : `, port ${m.port}`}${m.volume === null ? '' : `, volume ${m.volume}`}${m.path === null ? '' : `, ${m.path}`}`;
const volumeDetail = (v: VolumeSpec): string => `${v.path}, driver ${v.driver}${v.size === null ? '' : `, ${formatSize(v.size)}`}`;
const percent = (share: number): string => `${Number((share * 100).toFixed(4))}%`;
