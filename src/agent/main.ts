/** The agent's process: `main.js --home DIR --cluster NAME --host NAME [--replace]`. Ends on SIGTERM and SIGINT; its members go on. */
import { parseArgs } from 'node:util';
import { runAgent } from './run.ts';
import { PgorbitError } from '../errors.ts';
import { createLog } from '../observe/log.ts';

const { values } = parseArgs({ options: { home: { type: 'string' }, cluster: { type: 'string' }, host: { type: 'string' }, replace: { type: 'boolean' } } });
const log = createLog({ fields: { host: values.host } });

try {
  const { home, cluster, host, replace } = values;
  if (home === undefined || cluster === undefined || host === undefined) throw new PgorbitError('usage', 'an agent needs --home, --cluster and --host');
  process.exitCode = await runAgent({ home, cluster, host, replace: replace === true, log });
} catch (error) {
  log.error({ err: error, ...(error instanceof PgorbitError ? { hint: error.hint } : {}) }, 'the agent could not start');
  process.exit(1);
}
