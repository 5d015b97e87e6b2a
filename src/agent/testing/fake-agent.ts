/** The least that launchAgent and stopAgent need of an agent: claims its folder, answers ping, ends on SIGTERM. */
import { parseArgs } from 'node:util';
import { agentDir } from '../../home.ts';
import { createLog } from '../../observe/log.ts';
import { readIdentity } from '../identity/files.ts';
import { claimAgentDir } from '../pid-file.ts';
import { startRpcServer } from '../rpc/server.ts';

const { values } = parseArgs({ options: { home: { type: 'string' }, cluster: { type: 'string' }, host: { type: 'string' } } });
const { home = '', cluster = '', host = '' } = values;
const log = createLog();

if (host === 'broken') {
  log.error({}, 'this agent cannot start');
  process.exit(7);
}
const dir = agentDir(home, cluster, host);
const claim = await claimAgentDir(dir);
const server = await startRpcServer({
  address: '127.0.0.1',
  port: 0,
  identity: await readIdentity(dir),
  handlers: { 'GET /v1/ping': async () => ({ cluster, clusterId: 'c', host, pid: process.pid, version: JSON.stringify(process.env) }) },
  log,
});
await claim.publish({ address: '127.0.0.1', port: server.port });
if (host !== 'stubborn') {
  process.once('SIGTERM', () => {
    void server.close().then(() => claim.release());
  });
} else {
  process.on('SIGTERM', () => {});
}
