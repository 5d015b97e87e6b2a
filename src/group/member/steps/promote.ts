/** The promotion itself. */
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import type { Member } from '../member.ts';

const POLL_MS = 10;
const PROMOTE_MS = 20_000;

/** pg_promote() itself polls every 100 ms; asking for itself is quicker (System Administration Functions, "Recovery Control"). */
export async function promote(member: Member, signal: AbortSignal): Promise<void> {
  const sql = member.sql();
  const inRecovery = async (): Promise<boolean> =>
    (await sql.query<{ recovery: boolean }>('select pg_is_in_recovery() as recovery'))[0]?.recovery !== false;
  if (await inRecovery()) {
    await member.notePromotion();
    await sql.query('select pg_promote(false)');
  }
  const started = performance.now();
  while (await inRecovery()) {
    if (performance.now() - started > PROMOTE_MS) {
      throw new PgorbitError('timed-out', `${member.place.member} was asked to promote ${PROMOTE_MS / 1000} s ago and still is in recovery`, { hint: `pgorbit logs ${member.place.member}` });
    }
    signal.throwIfAborted();
    await sleep(POLL_MS, signal);
  }
}
