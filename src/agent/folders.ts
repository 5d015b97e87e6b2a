/**
 * The folders of a host: PostgreSQL's user has to pass through them to its members' logs and sockets, so they may be
 * searched by everyone and listed by nobody; what is secret lies in files of mode 0600 and in agent/, which is closed.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { agentDir, clusterDir, hostDir } from '../home.ts';

export const PASSABLE = 0o711;

export async function makeHostFolders(home: string, cluster: string, host: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: PASSABLE });
  for (const dir of [clusterDir(home, cluster), hostDir(home, cluster, host)]) {
    await mkdir(dir, { recursive: true, mode: PASSABLE });
    await chmod(dir, PASSABLE);
  }
  await mkdir(agentDir(home, cluster, host), { recursive: true, mode: 0o700 });
}
