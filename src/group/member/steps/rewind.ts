/** Putting a member's data right instead of copying them anew: what it wrote beyond the fork is taken back. */
import { rewind } from '../../../engine/rewind/rewind.ts';
import { isAway } from '../../../engine/sql.ts';
import { PgorbitError, toReport } from '../../../errors.ts';
import { shownAs } from '../../decide/goals.ts';
import type { Member } from '../member.ts';
import { closeRestore } from '../restore.ts';
import { makeSlot } from '../slots.ts';

/**
 * From the first change on, the marker says that the folder is half made: a crash then leaves something that is copied
 * anew. Where it cannot be done nothing has been changed, and the next look has it copied anew as well.
 * @throws `host-unreachable`, with nothing changed, where the source is away
 */
export async function rewindMember(member: Member, signal: AbortSignal): Promise<void> {
  const { place, orders, environment } = member;
  const { goal, record, term } = orders;
  if (goal.kind !== 'follow') throw new PgorbitError('internal', `${place.member} is rewound without anybody to follow`);
  const from = goal.rewindFrom ?? goal.upstream;
  member.nowDoing(`rewinding to ${shownAs(from)}`);
  const started = performance.now();
  let begun = false;
  const source = member.connect(from);
  try {
    if (from === goal.upstream) await makeSlot(source, goal.slot);
    const { how, fork, bytes, files } = await rewind({
      dataDir: place.dataDir, source, sourceName: shownAs(from), owner: environment.user, signal,
      onProgress: ({ done, total }) => member.nowDoing(`rewinding to ${shownAs(from)}: ${Math.floor((100 * done) / Math.max(1, total))} %`),
      beforeWriting: () => {
        begun = true;
        return member.writeMarker(0, term);
      },
    });
    await closeRestore(place.homeDir);
    await member.becomeStandby();
    await member.writeMarker(record.incarnation, term);
    const what = {
      'rewound': `rewound to ${fork}, ${files} files, ${(bytes / 1e6).toFixed(1)} MB`,
      'cut': `the beginning of a record is cut off at ${fork}`,
      'nothing-to-do': `nothing to take back (its WAL ends at ${fork})`,
    }[how];
    member.tell({ level: 'info', kind: 'rewound', message: `${place.member}: ${what}, in ${((performance.now() - started) / 1000).toFixed(2)} s` });
  } catch (error) {
    if (signal.aborted) throw error;
    // That says nothing of the data: they are kept for the next try.
    if (!begun && isAway(error)) throw new PgorbitError('host-unreachable', `${place.member} is to be rewound, and ${shownAs(from)} is away: ${toReport(error).message}`, { cause: error });
    member.rewindFailedFor = record.incarnation;
    member.tell({ level: 'warning', kind: 'rewind-impossible', message: `${place.member} can't be rewound (${toReport(error).message}): it is copied anew` });
  } finally {
    await source.close();
  }
}
