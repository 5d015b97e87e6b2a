/** Seeing to it that a promotion begins exactly the timeline that was handed out for it. */
import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { giveTo } from '../../../engine/osuser.ts';
import { historyFileName } from '../../../wal/history.ts';
import type { Member } from '../member.ts';
import { historiesIn } from './wal-end.ts';

/**
 * PostgreSQL begins the first timeline for which it finds no history file (findNewestTimeLine in timeline.c). A candidate
 * that was given up may have begun one that nobody here has heard of: its number is passed over by a file without an
 * ancestor, which no standby ever takes for a continuation.
 * @param wanted null: whichever comes next will do
 */
export async function reserveTimelines(member: Member, wanted: number | null): Promise<void> {
  const present = member.observation?.timeline ?? 1;
  for (let timeline = present + 1; wanted !== null && timeline < wanted; timeline += 1) {
    const file = join(member.place.dataDir, 'pg_wal', historyFileName(timeline));
    if (await access(file).then(() => true, () => false)) continue;
    await writeFile(file, '# Passed over by pgorbit: begun, if at all, by a candidate that was given up.\n', { mode: 0o600 });
    await giveTo(file, member.environment.user);
  }
}

/**
 * Before a start as a standby: where the promotion that passed them over did not come about, such files are the newest, and
 * a server that starts takes the newest timeline for its own, to find that it is "not a child of this server's history"
 * (InitWalRecovery in xlogrecovery.c). Below a timeline with an ancestor they stay: the search ends at the first gap.
 */
export async function forgetReserved(dataDir: string): Promise<void> {
  const walDir = join(dataDir, 'pg_wal');
  const found = await historiesIn(walDir);
  const newest = Math.max(1, ...found.filter(({ begun }) => begun).map(({ timeline }) => timeline));
  for (const { timeline, begun } of found) if (!begun && timeline > newest) await rm(join(walDir, historyFileName(timeline)), { force: true });
}
