/** Whom an election counts on leaves only where nobody has led for 10 seconds. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { GroupSpec, MemberRecord, SecretsDocument } from '../group/model.ts';
import type { ClusterView } from './documents.ts';
import { mustBeFree, secretsAfter } from './leaving.ts';

const signal = new AbortController().signal;

type View = Pick<ClusterView, 'cluster' | 'site'>;
const viewOf = (storage: GroupSpec['storage'], site: View['site'] = null): View =>
  ({ cluster: { revision: 1, document: { spec: { cluster: 'shop', groups: { main: { storage } } } } } as unknown as View['cluster'], site });
const member = (role: MemberRecord['role']): MemberRecord => ({ name: 'n2', role }) as MemberRecord;
/** Led from `begin` to `end`, s from now. */
function ledBetween(begin: number, end: number): () => boolean {
  const now = performance.now();
  return () => performance.now() >= now + 1000 * begin && performance.now() < now + 1000 * end;
}

test('whoever was followed gets another password for replication, the same for the same owner; the other accounts stay', () => {
  const account = (user: string): SecretsDocument['agent'] => ({ user, password: `${user}-secret` });
  const secrets: SecretsDocument = { superuser: account('postgres'), agent: account('pgorbit_agent'), replication: account('pgorbit_replication'), monitor: account('pgorbit_monitor') };
  const after = secretsAfter(secrets, 'primary', { cluster: 'saved', clusterId: 'a' });
  expect(after).toEqual({ ...secrets, replication: { user: 'pgorbit_replication', password: expect.stringMatching(/^[\w-]{24}$/) } });
  expect(secretsAfter(secrets, 'replica', { cluster: 'other', clusterId: 'a' })).toEqual(after);
  expect(secretsAfter(secrets, 'replica', { cluster: 'saved', clusterId: 'b' })).not.toEqual(after);
  expect(secretsAfter(secrets, 'standby', { cluster: 'saved', clusterId: 'a' })).toEqual(secrets);
});

describe('mustBeFree', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('asks nothing for a standby', async () => {
    await mustBeFree(viewOf('shared'), 'main', member('standby'), () => true, signal);
  });

  test('refuses whoever has the data of a volume, or of a site', async () => {
    await expect(mustBeFree(viewOf('shared'), 'main', member('replica'), () => false, signal)).rejects.toMatchObject({ code: 'usage' });
    await expect(mustBeFree(viewOf('local', { revision: 1, document: {} } as View['site']), 'main', member('replica'), () => false, signal)).rejects.toMatchObject({ code: 'unsafe' });
  });

  test.each([[0, 1], [9, 20]])('refuses where somebody leads from second %i to %i', async (begin, end) => {
    const ended = mustBeFree(viewOf('local'), 'main', member('primary'), ledBetween(begin, end), signal).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(await ended).toMatchObject({ code: 'unsafe', hint: 'pgorbit switchover --to n2' });
  });

  test('lets go where nobody has led for 10 seconds, and not before', async () => {
    let free = false;
    const done = mustBeFree(viewOf('local'), 'main', member('replica'), ledBetween(11, 20), signal).then(() => (free = true));
    await vi.advanceTimersByTimeAsync(9_900);
    expect(free).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    await done;
  });
});
