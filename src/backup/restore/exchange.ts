/**
 * Hands archived WAL to a PostgreSQL that recovers. Its restore_command is a script that asks by making a file in a
 * folder, and waits; this process answers. So the store may be anything that this process reads, PostgreSQL's user needs
 * no right to it, every segment is checked before it is replayed, and no more than one at a time takes up room.
 */
import { chmod, chown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reach } from '../../engine/reach.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { PgorbitError } from '../../errors.ts';
import { Lifecycle } from '../../lifecycle.ts';
import { filledUp } from '../archive/partial.ts';
import { PARTIAL } from '../archive/writer.ts';
import type { SystemFolder } from '../repository.ts';
import { checkSegment } from '../verify.ts';

/**
 * 1 says "not there" ("restore_command" in the documentation); above 125 ends recovery, for good: the one who answers has
 * ended, or found damage.
 */
const scriptOf = (pid: number): string => `#!/bin/sh
# Called by PostgreSQL as restore_command: $1 is the file it looks for, $2 where it wants it.
cd_to=$(dirname "$0")
: > "$cd_to/ask/$1" || exit 255
while :; do
  if [ -e "$cd_to/give/$1" ]; then mv "$cd_to/give/$1" "$2" && exit 0; exit 255; fi
  if [ -e "$cd_to/none/$1" ]; then rm -f "$cd_to/none/$1"; exit 1; fi
  if [ -e "$cd_to/end" ] || ! [ -d /proc/${pid} ]; then exit 255; fi
  sleep 0.01
done
`;

const POLL_MS = 5;
const FILE = /^[0-9A-F]{8}(\.history|[0-9A-F]{16}(\.[0-9A-F]{8}\.backup)?)$/;

export interface ExchangeOptions {
  /** Missing; on the file system of the data directory, so that a file changes hands by a rename. */
  dir: string;
  system: SystemFolder;
  owner: OsUser | null;
  /** A segment was handed over: so many by now. */
  onSegment: (count: number) => void;
}

export class WalExchange {
  readonly #options: ExchangeOptions;
  readonly #life: Lifecycle;
  #segments = 0;
  #failure: unknown = null;

  private constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#life = new Lifecycle((error) => {
      this.#failure ??= error;
    });
  }

  static async open(options: ExchangeOptions): Promise<WalExchange> {
    const { dir, owner } = options;
    for (const folder of [dir, ...['ask', 'give', 'none'].map((name) => join(dir, name))]) {
      await mkdir(folder, { mode: 0o700 });
      if (owner !== null) await chown(folder, owner.uid, owner.gid);
    }
    const script = join(dir, 'fetch.sh');
    await writeFile(script, scriptOf(process.pid));
    await chmod(script, 0o755);
    const exchange = new WalExchange(options);
    exchange.#life.every(POLL_MS, 'handing over WAL', () => exchange.#answer());
    return exchange;
  }

  /** The value of restore_command. */
  async command(): Promise<string> {
    const dir = await reach(this.#options.dir, this.#options.owner);
    return `'${join(dir, 'fetch.sh').replaceAll("'", "'\\''").replaceAll('%', '%%')}' "%f" "%p"`;
  }

  /** What kept it from handing over a file that is there: damage, or a store that cannot be read. */
  get failure(): unknown {
    return this.#failure;
  }

  async close(): Promise<void> {
    await this.#life.stop();
    await rm(this.#options.dir, { recursive: true, force: true });
  }

  async #answer(): Promise<void> {
    const { dir } = this.#options;
    for (const name of await readdir(join(dir, 'ask'))) {
      await rm(join(dir, 'ask', name), { force: true });
      try {
        if (this.#failure === null) await this.#hand(name);
      } catch (error) {
        this.#failure ??= error;
      }
      if (this.#failure !== null) await writeFile(join(dir, 'end'), '', { mode: 0o644 });
    }
  }

  async #hand(name: string): Promise<void> {
    const { dir, owner } = this.#options;
    const content = FILE.test(name) ? await this.#find(name) : null;
    if (content === null) {
      await writeFile(join(dir, 'none', name), '');
      return;
    }
    const aside = join(dir, `${name}.new`);
    await writeFile(aside, content, { mode: 0o600 });
    if (owner !== null) await chown(aside, owner.uid, owner.gid);
    await rename(aside, join(dir, 'give', name));
    if (name.length === 24) this.#options.onSegment(++this.#segments);
  }

  async #find(name: string): Promise<Buffer | null> {
    const { system } = this.#options;
    // A part may become whole between two looks.
    for (const key of [name, `${name}${PARTIAL}`, name]) {
      const content = await system.store.get(system.key('wal', key));
      if (content === null) continue;
      const problem = key === name && name.length === 24 ? await checkSegment(system, name, content) : null;
      if (problem !== null) throw new PgorbitError('backup-damaged', problem, { hint: 'restore to a moment before it, or from another copy of the repository' });
      return key.endsWith(PARTIAL) ? filledUp(content) : content;
    }
    return null;
  }
}
