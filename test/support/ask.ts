/** One statement, one value: what most assertions about a server need. */
import type { TestCluster } from './cluster.ts';
import { connectTo, connectToWriter, drop, type Target } from './connect.ts';

/** Every member that is a server to connect to, as the agents have them now; a logger has no data. */
export async function targetsIn(cluster: TestCluster): Promise<Target[]> {
  return Object.values(await targetsByMember(cluster));
}

async function targetsByMember(cluster: TestCluster): Promise<Record<string, Target>> {
  const { secrets } = await cluster.call('GET /v1/secrets', {});
  if (secrets === null) throw new Error('the cluster has no accounts yet');
  const { members } = await cluster.group();
  return Object.fromEntries(members.filter(({ role }) => role !== 'logger').map(({ name, address, port }) => [name, { ...secrets.superuser, host: address, port, database: 'postgres' }]));
}

/** The first value of the last statement's first row as text, on whoever accepts writes or on `member`. */
export async function askMember(cluster: TestCluster, sql: string, member?: string): Promise<string | null> {
  const targets = await targetsByMember(cluster);
  const target = member === undefined ? undefined : targets[member];
  if (member !== undefined && target === undefined) throw new Error(`there is no member ${member}`);
  const client = target === undefined ? await connectToWriter(Object.values(targets)) : await connectTo(target, { queryMs: 10_000 });
  if (client === null) throw new Error('no member accepts writes');
  try {
    const answer = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    const value = (Array.isArray(answer) ? (answer as (typeof answer)[]).at(-1) : answer)?.rows[0]?.[0];
    return value === null || value === undefined ? null : String(value);
  } finally {
    drop(client);
  }
}
