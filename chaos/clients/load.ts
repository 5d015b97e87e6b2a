/** Writers, a bank and a bulk load, as an application runs them: whoever accepts writes is looked for. */
import type { Client } from 'pg';
import { sleep, type Lifecycle } from '../../src/lifecycle.ts';
import { connectToWriter } from '../../test/support/connect.ts';
import { ACCOUNTS, BANK_TABLE, type Place, type Story } from './protocol.ts';
import { use, write } from './session.ts';

const WRITERS = 2;
const RETRY_MS = 20;
const CONNECT_MS = 400;
/** A commit that is not answered within this is in doubt. */
const ANSWER_MS = 3_000;
/** Between two commits of a session: faults are looked for here, not throughput. */
const PAUSE_MS = 3;

/** WAL of records that span pages: wherever its server dies, most often one of them is only half there. */
const BULK = "select pg_logical_emit_message(false, 'bulk', repeat('x', 30000)) from generate_series(1, 40)";
const BULK_PAUSE_MS = 250;

export function startLoad(life: Lifecycle, story: Story, places: readonly Place[], first: number): void {
  for (let i = 0; i < WRITERS; i += 1) {
    const w = first + i;
    let n = 0;
    life.run('writing', (signal) => whileOpen(places, signal, (client, member) => use(client, story, signal, async () => {
      // Never used again, whatever becomes of it.
      n += 1;
      await write(client, story, { w, n, member });
      await sleep(PAUSE_MS, signal);
    })));
  }
  life.run('transfers', (signal) => whileOpen(places, signal, (client) => use(client, story, signal, async () => {
    await transfer(client);
    story.transfers += 1;
    await sleep(PAUSE_MS, signal);
  })));
  life.run('bulk load', (signal) => whileOpen(places, signal, (client) => use(client, story, signal, async () => {
    await client.query(BULK);
    await sleep(BULK_PAUSE_MS, signal);
  })));
}

async function whileOpen(places: readonly Place[], signal: AbortSignal, work: (client: Client, member: string) => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    for (const place of places) {
      if (signal.aborted) return;
      const client = await connectToWriter([place], { connectMs: CONNECT_MS, queryMs: ANSWER_MS });
      if (client !== null) await work(client, place.member);
    }
    await sleep(RETRY_MS, signal);
  }
}

async function transfer(client: Client): Promise<void> {
  const [a, b] = [1 + Math.floor(Math.random() * ACCOUNTS), 1 + Math.floor(Math.random() * ACCOUNTS)];
  const amount = 1 + Math.floor(Math.random() * 10);
  // In ascending order, so that two transfers never wait for each other in a circle.
  const [less, more] = a < b ? [a, b] : [b, a];
  await client.query(`begin; update ${BANK_TABLE} set balance = balance - ${amount} where id = ${less}; update ${BANK_TABLE} set balance = balance + ${amount} where id = ${more}; commit`);
}
