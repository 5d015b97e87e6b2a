import type { Define } from '../command.ts';

export const define: Define = (command, declare) => {
  command.requiredOption('--home <folder>', 'PGORBIT_HOME of the agent').requiredOption('--host <name>', 'the host that it is the agent of');
  declare(command, 'pgorbit agent --home /var/lib/pgorbit --cluster shop --host h1', async () => {
    // The agent reads the same options from the command line itself, and runs until it is told to stop.
    await import('../../agent/main.ts');
  });
};
