import type { Define } from '../command.ts';
import { version } from '../../version.ts';

export const define: Define = (command, declare) => {
  declare(command, 'pgorbit version', async (context) => {
    context.out.text(`pgorbit ${version()}\n`);
    context.out.document({ version: version(), node: process.versions.node });
  });
};
