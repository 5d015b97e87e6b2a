/** systemd units for the agents of this machine. */
import { mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { agentCommand, agentEnv } from '../agent/launch.ts';
import { ASKED_TO_END } from '../agent/run.ts';
import { writeDurably } from '../durable.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { agentDir } from '../home.ts';
import type { Context } from './context.ts';
import { renderUnit, unitName } from './print/unit.ts';

export interface Unit {
  name: string;
  /** Where it was written; null where it was only printed. */
  file: string | null;
  text: string;
}

/** Set by systemd itself, or of no use to a service. */
const LEFT_OUT = ['SHELL', 'USER', 'LOGNAME', 'TMPDIR', 'PGORBIT_HOME', 'PGORBIT_CLUSTER', 'PGORBIT_DEBUG', 'PGORBIT_LOCAL_ADDRESSES'];

/** Writes (or prints) a unit for each agent and says what remains to be done. Throws `permission`. */
export async function installServices(context: Context, agents: readonly { cluster: string; host: string }[], options: { folder: string | undefined; print: boolean }): Promise<Unit[]> {
  const root = process.getuid?.() === 0;
  const folder = options.folder ?? (root ? '/etc/systemd/system' : join(context.env['HOME'] ?? homedir(), '.config/systemd/user'));
  const units: Unit[] = [];
  for (const { cluster, host } of agents) {
    const dir = agentDir(context.home, cluster, host);
    const owner = (await stat(dir)).uid;
    // The manager of the system runs it as whom the agent's folder belongs to, and sets that user's HOME.
    const other = root && owner !== 0;
    const left = other ? [...LEFT_OUT, 'HOME'] : LEFT_OUT;
    const environment = Object.fromEntries(Object.entries(agentEnv(context.env)).filter((entry): entry is [string, string] => entry[1] !== undefined && !left.includes(entry[0])));
    const text = renderUnit({
      cluster, host, home: context.home, environment, user: other ? String(owner) : null, logFile: join(dir, 'agent.log'), askedToEnd: ASKED_TO_END,
      command: [...agentCommand({ home: context.home, cluster, host }), '--replace'], wantedBy: root ? 'multi-user.target' : 'default.target',
    });
    const name = unitName({ cluster, host });
    if (options.print) context.out.text(`${agents.length > 1 ? `# ${name}\n` : ''}${text}`);
    else await write(folder, name, text);
    units.push({ name, file: options.print ? null : join(folder, name), text });
  }
  if (options.print) return units;
  const systemctl = root ? 'systemctl' : 'systemctl --user';
  const names = units.map((unit) => unit.name).join(' ');
  context.out.text(`${units.map((unit) => `Wrote ${unit.file}.\n`).join('')}Now, and once:\n\n  ${systemctl} daemon-reload\n  ${systemctl} enable --now ${names}\n\nAn agent that runs already is replaced; its members go on meanwhile.\n`);
  return units;
}

async function write(folder: string, name: string, text: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await writeDurably(join(folder, name), text, { mode: 0o644 });
  } catch (cause) {
    if (errnoOf(cause) !== 'EACCES' && errnoOf(cause) !== 'EROFS') throw cause;
    throw new PgorbitError('permission', `${join(folder, name)} may not be written by this user`, { hint: '`--folder` names another folder; `--print` prints the unit', cause });
  }
}
