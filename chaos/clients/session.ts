/** One connection that is lost and made again, and the commits that were promised through it. */
import type { Client } from 'pg';
import { drop } from '../../test/support/connect.ts';
import { clock, LOG_TABLE, type Story } from './protocol.ts';

export function count(story: Story, error: unknown): void {
  const { message, code } = error as { message: string; code?: string };
  const what = `${code ?? ''} ${message}`.trim();
  story.errors[what] = (story.errors[what] ?? 0) + 1;
}

/**
 * Writes row `n` of session `w`; kept as acknowledged only where the server said so without a warning: a commit whose
 * wait for the other voters was cancelled is answered with success and a WARNING.
 */
export async function write(client: Client, story: Story, row: { w: number; n: number; member: string }): Promise<void> {
  let warned = false;
  const hear = (): void => {
    warned = true;
  };
  client.on('notice', hear);
  try {
    const sent = clock();
    // The first eight digits of a segment's name are its timeline. It fails in recovery, as the insert does.
    const { rows } = await client.query<{ segment: string }>(`insert into ${LOG_TABLE} (w, n) values ($1, $2) returning pg_walfile_name(pg_current_wal_insert_lsn()) as segment`, [row.w, row.n]);
    if (warned) throw new Error('committed with a warning');
    story.acks.push({ ...row, sent, acked: clock(), timeline: Number.parseInt(rows[0]?.segment.slice(0, 8) ?? '', 16) });
  } finally {
    client.off('notice', hear);
  }
}

/** Repeats `work` on a connection while it succeeds and `signal` lets it; ends the connection. */
export async function use(client: Client, story: Story, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    while (!signal.aborted) await work();
  } catch (error) {
    count(story, error);
  } finally {
    drop(client);
  }
}
