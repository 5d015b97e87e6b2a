/** What the servers hold at the end of a round, against what clients were told in it. */
import type { Client } from 'pg';
import { sleep } from '../src/lifecycle.ts';
import { connectTo, drop } from '../test/support/connect.ts';
import { ACCOUNTS, BALANCE, BANK_TABLE, LOG_TABLE, type Place, type Story } from './clients/protocol.ts';
import { bothOpen, missing, rowKey, sharedTimelines, staleAcks, type Ack, type Sight } from './history.ts';
import type { Topology } from './topologies.ts';

const EQUAL_MS = 30_000;
const SHOWN = 5;
/** Everything that the round's tables hold, in one line. */
const FINGERPRINT = `select (select count(*) from ${LOG_TABLE})::text || ' rows ' || coalesce((select md5(string_agg(w || ':' || n, ',' order by w, n)) from ${LOG_TABLE}), '-')
  || ' bank ' || (select sum(balance) from ${BANK_TABLE}) || ' ' || (select md5(string_agg(id || ':' || balance, ',' order by id)) from ${BANK_TABLE}) as print`;

export interface Verdict {
  /** What must never be. */
  failures: string[];
  /** What is worth a look. */
  remarks: string[];
  acknowledged: number;
}

/** Makes the round's tables anew, on the primary. */
export async function makeTables(primary: Place): Promise<void> {
  await on(primary, (client) => client.query(`drop table if exists ${LOG_TABLE}, ${BANK_TABLE};
    create table ${LOG_TABLE} (w int, n bigint, primary key (w, n));
    create table ${BANK_TABLE} (id int primary key, balance int not null);
    insert into ${BANK_TABLE} select i, ${BALANCE} from generate_series(1, ${ACCOUNTS}) i`));
}

/** @param places every member that holds data. */
export async function verify(input: { topology: Topology; primary: Place; places: readonly Place[]; stories: readonly Story[] }): Promise<Verdict> {
  const { topology, primary, places, stories } = input;
  const acks = stories.flatMap((story) => story.acks);
  const sights = stories.flatMap((story) => story.sights);
  const present = await on(primary, async (client) => {
    const { rows } = await client.query<{ w: number; n: string }>(`select w, n from ${LOG_TABLE}`);
    return new Set(rows.map(({ w, n }) => rowKey({ w, n: Number(n) })));
  });
  const failures: string[] = [];
  const remarks: string[] = [];
  const lost = missing(acks, present);
  if (lost.length > 0) failures.push(`${lost.length} acknowledged commits are missing: ${lost.slice(0, SHOWN).map(ackInWords).join('; ')}`);
  const stale = staleAcks(acks);
  if (stale.length > 0) failures.push(`${stale.length} commits were acknowledged by a primary after a later one had begun: ${stale.slice(0, SHOWN).map((pair) => `${ackInWords(pair.stale)} after ${ackInWords(pair.newer)}`).join('; ')}`);
  for (const { timeline, members } of sharedTimelines(acks)) failures.push(`timeline ${timeline} had several writers: ${members.join(', ')}`);
  const gone = missing(sights, present);
  const phantoms = gone.filter((sight) => !sight.recovery || topology.replicaSightsStay);
  if (phantoms.length > 0) failures.push(`${phantoms.length} rows were read and are gone: ${phantoms.slice(0, SHOWN).map(sightInWords).join('; ')}`);
  if (gone.length > phantoms.length) remarks.push(`${gone.length - phantoms.length} rows that replicas showed before they were acknowledged are gone`);
  for (const { looked, wrong } of stories.map((story) => story.sums)) if (wrong.length > 0) failures.push(`${wrong.length} of ${looked} sums of the bank were wrong: ${wrong.slice(0, SHOWN).map((one) => `${one.sum} on ${one.member}`).join(', ')}`);
  for (const { members, ms } of bothOpen(stories.flatMap((story) => story.open)).slice(0, 3)) remarks.push(`${members.join(' and ')} were both out of recovery for ${Math.round(ms)} ms`);
  failures.push(...(await differences(primary, places)));
  return { failures, remarks, acknowledged: acks.length };
}

/** What the members' tables have unlike the primary's, once they had time to replay. */
async function differences(primary: Place, places: readonly Place[]): Promise<string[]> {
  const wanted = await fingerprint(primary);
  const failures = wanted.includes(` bank ${ACCOUNTS * BALANCE} `) ? [] : [`the sum of the bank is not ${ACCOUNTS * BALANCE}: ${wanted}`];
  for (const place of places.filter((one) => one.member !== primary.member)) {
    const end = performance.now() + EQUAL_MS;
    let found = await fingerprint(place).catch(String);
    while (found !== wanted && performance.now() < end) {
      await sleep(100);
      found = await fingerprint(place).catch(String);
    }
    if (found !== wanted) failures.push(`${place.member} holds other tables than ${primary.member}: ${found} instead of ${wanted}`);
  }
  return failures;
}

const fingerprint = (place: Place): Promise<string> => on(place, async (client) => (await client.query<{ print: string }>(FINGERPRINT)).rows[0]?.print ?? '');

async function on<T>(place: Place, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connectTo(place, { connectMs: 5_000, queryMs: 20_000 });
  try {
    return await work(client);
  } finally {
    drop(client);
  }
}

const ackInWords = (ack: Ack): string => `${rowKey(ack)} by ${ack.member} on timeline ${ack.timeline} (sent ${ack.sent.toFixed(0)}, acknowledged ${ack.acked.toFixed(0)})`;
const sightInWords = (sight: Sight): string => `${rowKey(sight)} on ${sight.member}${sight.recovery ? ' in recovery' : ''} at ${sight.at.toFixed(0)}`;
