/**
 * Looks at every member through its own socket, which no partition cuts: is it open, does it acknowledge a commit,
 * which rows can be read on it, and what is the sum of the bank.
 */
import type { Client } from 'pg';
import { sleep, type Lifecycle } from '../../src/lifecycle.ts';
import { connectTo } from '../../test/support/connect.ts';
import { rowKey } from '../history.ts';
import { ACCOUNTS, BALANCE, BANK_TABLE, clock, LOG_TABLE, type Place, type Story } from './protocol.ts';
import { use, write } from './session.ts';

const LOOK_MS = 40;
const READ_MS = 250;
const COMMIT_MS = 60;
const RETRY_MS = 100;
const ANSWER_MS = 2_000;

export function startWatch(life: Lifecycle, story: Story, places: readonly Place[], first: number): void {
  const seen = new Set<string>();
  for (const [i, place] of places.entries()) {
    life.run('looking', (signal) => connected(place, story, signal, (client) => look(client, story, place.member, signal)));
    let n = 0;
    life.run('committing', (signal) => connected(place, story, signal, async (client) => {
      await sleep(COMMIT_MS, signal);
      if (await inRecovery(client)) return;
      n += 1;
      await write(client, story, { w: first + i, n, member: place.member });
    }));
    life.run('reading', (signal) => connected(place, story, signal, async (client) => {
      await sleep(READ_MS, signal);
      await read(client, story, seen, place.member);
    }));
  }
}

async function connected(place: Place, story: Story, signal: AbortSignal, work: (client: Client) => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    const client = await connectTo(place, { connectMs: 1_000, queryMs: ANSWER_MS }).catch(() => null);
    if (client !== null) await use(client, story, signal, () => work(client));
    await sleep(RETRY_MS, signal);
  }
}

async function inRecovery(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ recovery: boolean }>('select pg_is_in_recovery() as recovery');
  return rows[0]?.recovery !== false;
}

/** One server process never goes back into recovery: between the first answer and the last question it was open. */
async function look(client: Client, story: Story, member: string, signal: AbortSignal): Promise<void> {
  if (await inRecovery(client)) return sleep(LOOK_MS, signal);
  const span = { member, from: clock(), to: clock() };
  story.open.push(span);
  while (!signal.aborted) {
    const asked = clock();
    await inRecovery(client);
    span.to = asked;
    await sleep(LOOK_MS, signal);
  }
}

/** The newest row of each session; rows are told of once. A member that has no such table yet says nothing. */
async function read(client: Client, story: Story, seen: Set<string>, member: string): Promise<void> {
  const { rows } = await client.query<{ w: number; n: string; recovery: boolean; sum: string | null }>(
    `select w, max(n) as n, pg_is_in_recovery() as recovery, (select sum(balance) from ${BANK_TABLE}) as sum from ${LOG_TABLE} group by w`,
  );
  const at = clock();
  for (const row of rows) {
    const sight = { w: row.w, n: Number(row.n), at, member, recovery: row.recovery };
    const key = `${rowKey(sight)}:${row.recovery}`;
    if (!seen.has(key)) story.sights.push(sight);
    seen.add(key);
  }
  const sum = rows[0]?.sum;
  if (sum == null) return;
  story.sums.looked += 1;
  if (Number(sum) !== ACCOUNTS * BALANCE) story.sums.wrong.push({ member, at, sum: Number(sum) });
}
