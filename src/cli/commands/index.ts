/** Every command: its name, what `pgorbit --help` says of it, and where it is. A file is loaded when it is asked for. */
import type { Define } from '../command.ts';

export interface Entry {
  name: string;
  summary: string;
  /** The heading in the list of commands. */
  group: string;
  hidden?: true;
  load: () => Promise<{ define: Define }>;
}

const LIFE = 'Clusters:';
const HOSTS = 'Hosts:';
const USE = 'Use:';
const MEMBERS = 'Members:';
const CARE = 'Care:';

export const COMMANDS: readonly Entry[] = [
  { name: 'up', group: LIFE, summary: 'create or change the cluster that a manifest describes', load: () => import('./up.ts') },
  { name: 'status', group: LIFE, summary: 'members, roles, lag, and what the volume holds', load: () => import('./status.ts') },
  { name: 'down', group: LIFE, summary: 'stop everything; the data stay', load: () => import('./down.ts') },
  { name: 'destroy', group: LIFE, summary: 'remove what pgorbit made, and nothing else', load: () => import('./destroy.ts') },
  { name: 'host', group: HOSTS, summary: 'let machines join, and go', load: () => import('./host.ts') },
  { name: 'agent', group: HOSTS, summary: 'join a cluster with this machine, and run its agent', load: () => import('./agent.ts') },
  { name: 'login', group: HOSTS, summary: 'manage a cluster from this machine', load: () => import('./login.ts') },
  { name: 'rotate', group: HOSTS, summary: 'renew certificates while everything runs', load: () => import('./rotate.ts') },
  { name: 'sql', group: USE, summary: 'run SQL with nothing but Node', load: () => import('./sql.ts') },
  { name: 'psql', group: USE, summary: "run PostgreSQL's own psql, connected", load: () => import('./psql.ts') },
  { name: 'uri', group: USE, summary: 'print a connection URI that works, password included', load: () => import('./uri.ts') },
  { name: 'add', group: MEMBERS, summary: 'add a member', load: () => import('./add.ts') },
  { name: 'remove', group: MEMBERS, summary: 'remove a member with its slot and files', load: () => import('./remove.ts') },
  { name: 'scale', group: MEMBERS, summary: 'have so many replicas', load: () => import('./scale.ts') },
  { name: 'switchover', group: MEMBERS, summary: 'make another member the primary, in order', load: () => import('./switchover.ts') },
  { name: 'promote', group: MEMBERS, summary: 'make a member the primary after the old one died', load: () => import('./promote.ts') },
  { name: 'standby', group: MEMBERS, summary: 'copy a standby anew; have an old site follow', load: () => import('./standby.ts') },
  { name: 'site', group: MEMBERS, summary: 'two sites: hand over, take over, part', load: () => import('./site.ts') },
  { name: 'drill', group: MEMBERS, summary: 'rehearse the promotion of a standby on a copy of it', load: () => import('./drill.ts') },
  { name: 'restart', group: MEMBERS, summary: 'restart members, replicas first, one at a time', load: () => import('./restart.ts') },
  { name: 'reload', group: CARE, summary: 'have PostgreSQL read its settings again', load: () => import('./reload.ts') },
  { name: 'set', group: CARE, summary: 'change PostgreSQL settings of a group', load: () => import('./set.ts') },
  { name: 'logs', group: CARE, summary: "a member's PostgreSQL log", load: () => import('./logs.ts') },
  { name: 'events', group: CARE, summary: 'what happened in the cluster', load: () => import('./events.ts') },
  { name: 'volume', group: CARE, summary: 'make, measure and mend shared volumes', load: () => import('./volume.ts') },
  { name: 'backup', group: CARE, summary: 'back up, archive WAL, and look after what is kept', load: () => import('./backup.ts') },
  { name: 'restore', group: CARE, summary: 'make a cluster of a backup, as of any moment since', load: () => import('./restore.ts') },
  { name: 'wal', group: CARE, summary: "look into a logger's or server's WAL", load: () => import('./wal.ts') },
  { name: 'doctor', group: CARE, summary: 'what this machine lacks, and the command that mends it', load: () => import('./doctor.ts') },
  { name: 'version', group: CARE, summary: 'the version of pgorbit', load: () => import('./version.ts') },
];
