/**
 * Where things lie on a host:
 *
 *   PGORBIT_HOME (default ~/.pgorbit)/
 *     engines/<name>/            embedded PostgreSQL, copied out of the package so that an upgrade never pulls it away
 *     <cluster>/manifest.yaml    the manifest in force, comments and all
 *     <cluster>/admin/           the CLI's certificate, and where the agents are
 *     <cluster>/<host>/agent/    identity, state, events, log of one agent
 *     <cluster>/<host>/members/<group>/<member>/  log, socket; with storage: local also the data
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export function homeDir(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env['PGORBIT_HOME'] || join(env['HOME'] || homedir(), '.pgorbit'));
}

export const enginesDir = (home: string): string => join(home, 'engines');
export const clusterDir = (home: string, cluster: string): string => join(home, cluster);
export const manifestFile = (home: string, cluster: string): string => join(home, cluster, 'manifest.yaml');
export const adminDir = (home: string, cluster: string): string => join(home, cluster, 'admin');
export const hostDir = (home: string, cluster: string, host: string): string => join(home, cluster, host);
export const agentDir = (home: string, cluster: string, host: string): string => join(home, cluster, host, 'agent');
/** An agent's part of the cluster's state, in its folder. */
export const raftDir = (agentFolder: string): string => join(agentFolder, 'raft');
export const memberDir = (home: string, cluster: string, host: string, group: string, member: string): string =>
  join(home, cluster, host, 'members', group, member);
/** A member's folder on a shared volume: PGDATA is `data` in it. */
export const volumeMemberDir = (volume: string, cluster: string, group: string, member: string): string =>
  join(volume, cluster, group, member);
