/** For tests: real instances in scratch folders, ended and deleted whatever happens. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeConfig, renderConfig } from '../config.ts';
import { openCgroup, type Cgroup } from '../cgroup.ts';
import { fence } from '../fence.ts';
import { replaceFile } from '../files.ts';
import { listEngines, type Engine } from '../find.ts';
import { renderHba } from '../hba.ts';
import { initdb } from '../initdb.ts';
import { giveTo, postgresOsUser, type OsUser } from '../osuser.ts';
import { startPostgres, type Postmaster } from '../postmaster.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { SqlSession } from '../sql.ts';

export const PASSWORD = "it's \\ secret";

/** A free TCP port of 127.0.0.1. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/** A scratch folder that every user may enter. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pgorbit-test-'));
  await chmod(folder, 0o755);
  return folder;
}

/** One of each major that this machine has. */
export async function testEngines(home: string): Promise<Engine[]> {
  const byMajor = new Map((await listEngines(home)).map((engine) => [engine.major, engine]));
  return [...byMajor.values()];
}

export interface Instance {
  folder: string;
  dataDir: string;
  logFile: string;
  port: number;
  engine: Engine;
  user: OsUser | null;
  cgroup: Cgroup | null;
  start(settings?: Record<string, string>): Promise<Postmaster>;
  connect(): SqlSession;
  /** Ends everything and deletes the folder. */
  destroy(): Promise<void>;
}

/** An initialised instance below `parent`, not started. With `cgroup: true` in one of its own where that is possible. */
export async function makeInstance(parent: string, name: string, engine: Engine, options: { cgroup: boolean }): Promise<Instance> {
  const user = await postgresOsUser();
  const folder = join(parent, name);
  const dataDir = join(folder, 'data');
  const logFile = join(folder, 'log');
  await mkdir(folder);
  await giveTo(folder, user);
  const port = await freePort();
  const cgroup = options.cgroup ? await openCgroup(`test-${process.pid}/${name}`) : null;
  const sessions: SqlSession[] = [];

  await initdb({ engine, dataDir, user, superuser: 'admin', password: PASSWORD });
  const settings = { ...DEFAULT_SETTINGS(engine.major), max_connections: '30', shared_buffers: '16MB' };
  await writeConfig(dataDir, renderConfig({ own: settings, user: {} }));
  await replaceFile(join(dataDir, 'pg_hba.conf'), renderHba({ replicationUser: 'repl', memberAddresses: ['127.0.0.1'], clients: [] }));

  return {
    folder, dataDir, logFile, port, engine, user, cgroup,
    start: (extra = {}) => startPostgres({ engine, dataDir, port, listen: ['127.0.0.1'], socketDir: folder, logFile, user, cgroup, settings: extra }),
    connect: () => {
      const session = new SqlSession({ host: '127.0.0.1', port, user: 'admin', password: PASSWORD });
      sessions.push(session);
      return session;
    },
    destroy: async () => {
      await Promise.all(sessions.map((session) => session.close()));
      await fence(dataDir, cgroup);
      await cgroup?.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
