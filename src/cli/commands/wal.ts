import type { Command } from 'commander';
import { PgorbitError } from '../../errors.ts';
import { readHistory } from '../../wal/files.ts';
import { formatLsn } from '../../wal/lsn.ts';
import { listWal } from '../../wal/ls.ts';
import { verifyWal } from '../../wal/verify.ts';
import type { Declare, Define } from '../command.ts';
import { describeDamage, plainListing, plainVerdict, renderListing, renderVerdict } from '../print/wal.ts';
import { walFolder } from '../wal.ts';

export const define: Define = (command, declare) => {
  list(sub(command, 'ls', 'segments and timelines'), declare);
  verify(sub(command, 'verify', 'read every record, and say what is missing or damaged'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .argument('[path]', 'a folder with WAL: pg_wal, a data directory, the folder of a logger')
    .option('-m, --member <name>', 'the WAL of this member, or group/member, which runs on this machine');
}

function list(command: Command, declare: Declare): void {
  declare<{ member?: string }>(command, 'pgorbit wal ls --member n3\npgorbit wal ls /srv/archive', async (context, [path], options) => {
    const listing = await listWal(await walFolder(context, path, options.member));
    const histories = await Promise.all(listing.histories.map((timeline) => readHistory(listing.dir, timeline)));
    context.out.text(renderListing(listing, histories));
    context.out.document(plainListing(listing, histories));
  });
}

function verify(command: Command, declare: Declare): void {
  declare<{ member?: string }>(command, 'pgorbit wal verify --member n3\npgorbit wal verify /srv/archive', async (context, [path], options) => {
    const dir = await walFolder(context, path, options.member);
    context.progress.step(`read the WAL in ${dir}`);
    const verdict = await verifyWal(dir, { signal: context.signal });
    context.progress.done();
    context.out.text(renderVerdict(verdict, context.style));
    context.out.document(plainVerdict(verdict));
    const [first] = [...verdict.damaged.map((damage) => describeDamage(verdict, damage)), ...verdict.gaps.map((gap) => `${dir}: WAL from ${formatLsn(gap.from)} to ${formatLsn(gap.to)} is missing`)];
    if (first === undefined) return;
    throw new PgorbitError('wal-invalid', first, { hint: 'copy the segment from another member or from the archive; a member that needs it is made anew from the primary' });
  });
}
