/** The life of an agent's process, from its claim of the host's folder to its end. */
import { rm } from 'node:fs/promises';
import { Agent } from './agent.ts';
import { agentOf, readAgentConfig } from './config.ts';
import { readIdentity } from './identity/files.ts';
import { stopAgent } from './launch.ts';
import { claimAgentDir } from './pid-file.ts';
import { postgresOsUser } from '../engine/osuser.ts';
import { agentDir } from '../home.ts';
import type { Log } from '../observe/log.ts';

/** Why an agent ends. */
export interface Ending {
  /** Its members stop, too; otherwise they go on. */
  stopMembers: boolean;
  /** Its host is no part of the cluster any more: the agent's folder goes. */
  leave: boolean;
  /** Somebody asked for it by the cluster's own means: a supervisor is not to start it again. */
  asked: boolean;
}

/** The exit status after an end that was asked for: the unit file says that it is no reason for a restart. */
export const ASKED_TO_END = 10;

export interface RunOptions {
  home: string;
  cluster: string;
  host: string;
  /** An agent of this host that runs already is ended first. */
  replace?: boolean;
  log: Log;
}

/** Runs the agent of a host until it is asked to end, or SIGTERM or SIGINT comes. @returns the exit status. */
export async function runAgent({ home, cluster, host, replace, log }: RunOptions): Promise<number> {
  const dir = agentDir(home, cluster, host);
  const config = await readAgentConfig(dir);
  const identity = await readIdentity(dir);
  if (replace === true) await stopAgent(dir);
  const claim = await claimAgentDir(dir);
  let end: (ending: Ending) => void = () => undefined;
  const ended = new Promise<Ending>((resolve) => {
    end = resolve;
  });
  const agent = await Agent.open({ home, config, identity, user: await postgresOsUser(), log, onShutdown: end });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end({ stopMembers: false, leave: false, asked: false }));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise was rejected and nobody looked'));
  const port = await agent.start();
  await claim.publish({ address: agentOf(config, host).address, port });
  log.info({ port }, 'the agent is up');
  const ending = await ended;
  log.info({ ...ending }, 'the agent ends');
  await agent.stop(ending.stopMembers);
  await claim.release();
  if (ending.leave) await rm(dir, { recursive: true, force: true });
  return ending.asked ? ASKED_TO_END : 0;
}
