import type { Command } from 'commander';
import { launchAgent } from '../../agent/launch.ts';
import { runAgent } from '../../agent/run.ts';
import { PgorbitError } from '../../errors.ts';
import { createLog } from '../../observe/log.ts';
import { chooseAgents } from '../agents-here.ts';
import type { Declare, Define } from '../command.ts';
import type { Context } from '../context.ts';
import { joinCluster } from '../join.ts';
import { installServices } from '../service.ts';

interface Options {
  home?: string;
  host?: string;
  join?: string;
  foreground?: boolean;
  background?: boolean;
}

export const define: Define = (command, declare) => {
  command
    .option('--join <token>', 'become a host of the cluster that the token is of, then run in the background')
    .option('--foreground', 'with --join: run here')
    .option('--background', 'start every agent of this machine that does not run, and return')
    .option('--home <folder>', 'another PGORBIT_HOME')
    .option('--host <name>', 'the host that it is the agent of (default: the only one here)');
  declare<Options>(command, 'pgorbit agent --join pgorbit-join-…\npgorbit agent --background\npgorbit agent --home /var/lib/pgorbit --cluster shop --host h1', async (context, _operands, options) => {
    const home = options.home ?? context.home;
    if (options.join !== undefined) return join(context, options.join, options.foreground === true);
    const agents = await chooseAgents(home, context.wantedCluster, options.host);
    if (options.background === true) return startAll(context, home, agents);
    const [only, ...more] = agents;
    if (only === undefined || more.length > 0) throw new PgorbitError('usage', `${home} has several agents`, { hint: `name one with --cluster and --host, or start all: \`pgorbit agent --background\`; they are: ${agents.map((one) => `${one.host} of ${one.cluster}`).join(', ')}` });
    await run(home, only);
  });
  installService(command.command('install-service'), declare);
};

async function join(context: Context, token: string, foreground: boolean): Promise<void> {
  const { cluster, agent } = await joinCluster(context, token);
  if (foreground) return run(context.home, { cluster, host: agent.host });
  context.progress.step('start the agent');
  const pid = await launchAgent({ home: context.home, cluster, host: agent.host });
  context.progress.done(`${agent.host} on ${agent.address}:${agent.port}`);
  context.out.text(`This machine is host ${agent.host} of cluster ${cluster} now. \`pgorbit agent install-service\` starts its agent at every boot.\n`);
  context.out.document({ cluster, ...agent, pid });
}

async function startAll(context: Context, home: string, agents: readonly { cluster: string; host: string }[]): Promise<void> {
  const started: { cluster: string; host: string; pid: number }[] = [];
  for (const { cluster, host } of agents) started.push({ cluster, host, pid: await launchAgent({ home, cluster, host }) });
  context.out.text(started.map(({ cluster, host, pid }) => `The agent of host ${host} of cluster ${cluster} runs (process ${pid}).\n`).join(''));
  context.out.document({ agents: started });
}

/** Until it is told to end. */
async function run(home: string, { cluster, host }: { cluster: string; host: string }): Promise<void> {
  await runAgent({ home, cluster, host, log: createLog({ fields: { host } }) });
}

function installService(command: Command, declare: Declare): void {
  command
    .summary('have systemd run the agents of this machine')
    .description('Have systemd run the agents of this machine: writes a unit for each.')
    .option('--print', 'print the units, and write nothing')
    .option('--folder <folder>', 'where units go (default: /etc/systemd/system, or ~/.config/systemd/user without root)')
    .option('--host <name>', 'one host alone');
  declare<{ print?: boolean; folder?: string; host?: string }>(command, 'pgorbit agent install-service --print\nsudo pgorbit agent install-service', async (context, _operands, options) => {
    const agents = await chooseAgents(context.home, context.wantedCluster, options.host);
    const units = await installServices(context, agents, { folder: options.folder, print: options.print === true });
    context.out.document({ units });
  });
}
