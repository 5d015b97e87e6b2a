/** The agent's process: `main.js --home DIR --cluster NAME --host NAME`. Ends on SIGTERM and SIGINT; its members go on. */
import { parseArgs } from 'node:util';
import { Agent } from './agent.ts';
import { agentOf, readAgentConfig } from './config.ts';
import { readIdentity } from './identity/files.ts';
import { claimAgentDir } from './pid-file.ts';
import { postgresOsUser } from '../engine/osuser.ts';
import { PgorbitError } from '../errors.ts';
import { agentDir } from '../home.ts';
import { createLog } from '../observe/log.ts';

const { values } = parseArgs({ options: { home: { type: 'string' }, cluster: { type: 'string' }, host: { type: 'string' } } });
const log = createLog({ fields: { host: values.host } });

try {
  await main();
} catch (error) {
  log.error({ err: error, ...(error instanceof PgorbitError ? { hint: error.hint } : {}) }, 'the agent could not start');
  process.exit(1);
}

async function main(): Promise<void> {
  const { home, cluster, host } = values;
  if (home === undefined || cluster === undefined || host === undefined) throw new PgorbitError('usage', 'an agent needs --home, --cluster and --host');
  const dir = agentDir(home, cluster, host);
  const config = await readAgentConfig(dir);
  const identity = await readIdentity(dir);
  const claim = await claimAgentDir(dir);
  let end: (stopMembers: boolean) => void = () => undefined;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  const agent = await Agent.open({ home, config, identity, user: await postgresOsUser(), log, onShutdown: end });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(false));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise was rejected and nobody looked'));
  const port = await agent.start();
  await claim.publish({ address: agentOf(config, host).address, port });
  log.info({ port }, 'the agent is up');
  const stopMembers = await ended;
  log.info({ stopMembers }, 'the agent ends');
  await agent.stop(stopMembers);
  await claim.release();
}
