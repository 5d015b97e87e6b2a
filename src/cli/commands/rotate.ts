import type { Command } from 'commander';
import type { Declare, Define } from '../command.ts';
import { rotateAuthority, rotateCertificates } from '../rotate.ts';

export const define: Define = (command, declare) => {
  certificates(command.command('certificates'), declare);
};

function certificates(command: Command, declare: Declare): void {
  command
    .summary("new keys and certificates for every agent and this machine's command line")
    .description("New keys and certificates for every agent and this machine's command line, while everything runs.")
    .option('--ca', 'a new authority as well: every agent has to be there');
  declare<{ ca?: boolean }>(command, 'pgorbit rotate certificates\npgorbit rotate certificates --ca', async (context, _operands, options) => {
    const renewed = options.ca === true ? await rotateAuthority(context) : await rotateCertificates(context);
    context.out.text(`${renewed.map((one) => `${one.name}: good until ${one.validTo}\n`).join('')}`);
    context.out.document({ authority: options.ca === true, certificates: renewed });
  });
}
