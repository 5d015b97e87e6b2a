import type { Define } from '../command.ts';
import { logIn } from '../join.ts';

export const define: Define = (command, declare) => {
  command.argument('<token>', 'what `pgorbit host admin-token` printed where the cluster is managed');
  declare(command, 'pgorbit login pgorbit-login-…', async (context, [token = '']) => {
    const cluster = await logIn(context, token);
    context.out.text(`This machine may manage cluster ${cluster} now: try \`pgorbit status\`.\n`);
    context.out.document({ cluster });
  });
};
