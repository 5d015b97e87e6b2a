import { afterEach, describe, expect, it } from 'vitest';
import { TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;
afterEach(async () => {
  await cluster.stop();
});

const THREE = ['a', 'b', 'c'];
const others = (name: string): string[] => cluster.names().filter((each) => each !== name);

describe('RaftStore', () => {
  it('takes any call on any agent', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    const [one, two] = others(leader) as [string, string];
    expect(await cluster.during(cluster.store(one).compareAndSet('k', 0, { n: 1 }))).toEqual({ ok: true, revision: 1 });
    const current = { key: 'k', revision: 1, value: { n: 1 } };
    for (const name of THREE) expect(await cluster.during(cluster.store(name).read('k'))).toEqual(current);
    expect(await cluster.during(cluster.store(two).compareAndSet('k', 0, 2))).toEqual({ ok: false, current });
    expect(await cluster.during(cluster.store(leader).compareAndSet('l', 0, 'x'))).toEqual({ ok: true, revision: 2 });
    expect(await cluster.during(cluster.store(two).list(''))).toHaveLength(2);
    expect(await cluster.during(cluster.store(two).compareAndSet('k', 1, null))).toEqual({ ok: true, revision: 3 });
    expect(await cluster.during(cluster.store(one).read('k'))).toBeNull();
    expect(cluster.errors).toEqual([]);
  });

  it('tells watchers the present state, then each change, on every agent', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    const [one] = others(leader) as [string];
    await cluster.during(cluster.store(leader).compareAndSet('g/1', 0, 'old'));
    await cluster.advance(1000);
    const seen: unknown[] = [];
    const stop = cluster.store(one).watch('g/', (change) => seen.push(change));
    await cluster.during(cluster.store(leader).compareAndSet('g/2', 0, 'new'));
    await cluster.during(cluster.store(leader).compareAndSet('other', 0, 'x'));
    await cluster.during(cluster.store(leader).compareAndSet('g/1', 1, null));
    await cluster.advance(1000);
    expect(seen).toEqual([
      { key: 'g/1', revision: 1, value: 'old' }, { key: 'g/2', revision: 2, value: 'new' }, { key: 'g/1', revision: 4, value: null },
    ]);
    stop();
    await cluster.during(cluster.store(leader).compareAndSet('g/3', 0, 1));
    await cluster.advance(1000);
    expect(seen).toHaveLength(3);
    expect(cluster.store(one).changesSince(2, 'g/')).toEqual({
      revision: 5, changes: [{ key: 'g/1', revision: 4, value: null }, { key: 'g/3', revision: 5, value: 1 }],
    });
  });

  it('goes on without any minority, and refuses without a majority', async () => {
    cluster = await TestCluster.of(['a', 'b', 'c', 'd', 'e']);
    const first = await cluster.leader();
    await cluster.during(cluster.store(first).compareAndSet('k', 0, 1));
    await cluster.crash(first);
    const second = await cluster.leader();
    expect(await cluster.during(cluster.store(second).read('k'))).toMatchObject({ value: 1 });
    await cluster.crash(second);
    const third = await cluster.leader();
    expect(await cluster.during(cluster.store(third).compareAndSet('k', 1, 2))).toMatchObject({ ok: true });
    const [fourth] = cluster.up().filter((name) => name !== third) as [string];
    await cluster.crash(fourth);
    const [fifth] = cluster.up().filter((name) => name !== third) as [string];
    await expect(cluster.during(cluster.store(third).compareAndSet('k', 2, 3))).rejects.toMatchObject({ code: 'timed-out' });
    await expect(cluster.during(cluster.store(fifth).read('k'))).rejects.toMatchObject({ code: 'agent-unreachable' });
    await expect(cluster.during(cluster.store(fifth).compareAndSet('other', 0, 3))).rejects.toMatchObject({ code: 'agent-unreachable' });
    expect(cluster.store(third).leadership()).toMatchObject({ leader: null, self: false });
    cluster.restart(first);
    await cluster.leader();
    expect(await cluster.during(cluster.store(first).read('k'))).toMatchObject({ key: 'k' });
  });

  it('is governed by one agent alone where there is one', async () => {
    cluster = await TestCluster.of(['solo']);
    await cluster.leader();
    expect(await cluster.during(cluster.store('solo').compareAndSet('k', 0, 1))).toEqual({ ok: true, revision: 1 });
    await cluster.crash('solo');
    cluster.restart('solo');
    expect(await cluster.during(cluster.store('solo').read('k'))).toMatchObject({ value: 1 });
  });

  it('knows how long ago the leader was heard, and whether it leads itself', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    const [one, two] = others(leader) as [string, string];
    await cluster.advance(3000);
    expect(cluster.store(leader).contact()).toEqual({ leader, heardMsAgo: Infinity, leading: true });
    expect(cluster.store(one).contact()).toMatchObject({ leader, leading: false });
    expect(cluster.store(one).contact().heardMsAgo).toBeLessThan(310);
    cluster.partition([one]);
    await cluster.advance(5);
    const before = cluster.store(one).contact().heardMsAgo;
    await cluster.advance(500);
    expect(cluster.store(one).contact().heardMsAgo).toBe(before + 500);
    // Cut off, it asks for votes in no new term; whoever leads the others from now on is another matter.
    cluster.partition([leader]);
    await cluster.advance(5000);
    expect(cluster.store(leader).contact()).toEqual({ leader: null, heardMsAgo: Infinity, leading: false });
    const next = await cluster.leader();
    const follower = next === one ? two : one;
    expect(cluster.store(follower).contact()).toMatchObject({ leader: next, leading: false });
    expect(cluster.store(follower).contact().heardMsAgo).toBeLessThan(310);
    expect(cluster.store(next).contact()).toEqual({ leader: next, heardMsAgo: Infinity, leading: true });
  });

  it('ends a leadership for its listeners before another begins', async () => {
    cluster = await TestCluster.of(THREE);
    // Nobody asks: only what the stores tell of themselves counts here.
    const told = (): string[] => cluster.names().filter((name) => cluster.hosts.get(name)!.told.self);
    const both: string[][] = [];
    const pass = (ms: number): Promise<void> => cluster.clock.advance(ms, () => {
      if (told().length > 1) both.push(told());
    });
    const leaders = new Set<string>();
    for (let round = 0; round < 12; round += 1) {
      await pass(3000);
      for (const name of told()) leaders.add(name);
      cluster.partition(told());
      await pass(3000);
      cluster.heal();
    }
    expect(both).toEqual([]);
    expect(leaders.size).toBeGreaterThan(1);
    expect(cluster.story.filter(({ self }) => self).length).toBeGreaterThan(6);
  });

  it('never lets an agent lead that was frozen past its lease, not even in the moment in which it wakes', async () => {
    cluster = await TestCluster.of(THREE);
    const frozen = await cluster.leader();
    await cluster.advance(3000);
    expect(cluster.store(frozen).leadership()).toMatchObject({ leader: frozen, self: true });
    const lost: boolean[] = [];
    cluster.store(frozen).onLeadership(({ self }) => lost.push(self));
    cluster.freeze(frozen);
    // Its own listeners know nothing yet, for it does not run: only asking compares the clock.
    await cluster.clock.advance(5000);
    expect(cluster.hosts.get(frozen)!.told.self).toBe(true);
    expect(lost).toEqual([]);
    const [next] = others(frozen).filter((name) => cluster.store(name).leadership().self) as [string];
    expect(next).toBeDefined();
    expect(cluster.store(frozen).leadership()).toMatchObject({ leader: null, self: false });
    expect(lost).toEqual([false]);
    cluster.thaw(frozen);
    await cluster.advance(1000);
    expect(cluster.store(frozen).leadership()).toMatchObject({ leader: next, self: false });
  });

  it('keeps its leadership through a pause shorter than the lease, and takes it up again after a longer one that nobody used', async () => {
    cluster = await TestCluster.of(['solo']);
    await cluster.leader();
    const { term } = cluster.store('solo').leadership();
    cluster.freeze('solo');
    await cluster.clock.advance(5000);
    expect(cluster.store('solo').leadership().self).toBe(false);
    cluster.thaw('solo');
    await cluster.advance(500);
    expect(cluster.store('solo').leadership()).toEqual({ leader: 'solo', self: true, term });
  });

  it('hands over when asked, faster than by an election', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    const [one, two] = others(leader) as [string, string];
    const before = cluster.clock.now();
    await cluster.during(cluster.store(two).transferLeader(one));
    expect(await cluster.leader()).toBe(one);
    const end = cluster.story.findIndex(({ host, self, at }) => host === leader && !self && at >= before);
    expect(end).toBeGreaterThan(-1);
    expect(end).toBeLessThan(cluster.story.findIndex(({ host, self, at }) => host === one && self && at >= before));
    expect(cluster.clock.now() - before).toBeLessThan(500);
    await cluster.during(cluster.store(one).transferLeader(one));
    await expect(cluster.during(cluster.store(one).transferLeader('z'))).rejects.toMatchObject({ code: 'unsafe' });
  });

  it('lets a blank agent join, vote, and the leader leave', async () => {
    cluster = await TestCluster.of(THREE, { compactAfter: { entries: 5, characters: 1e9 } });
    const leader = await cluster.leader();
    for (let at = 0; at < 20; at += 1) await cluster.during(cluster.store(leader).compareAndSet(`k${at}`, 0, at));
    cluster.addBlank('d');
    await cluster.advance(3000);
    expect(cluster.store('d').leadership()).toEqual({ leader: null, self: false, term: 0 });
    await cluster.during(cluster.store(leader).addLearner('d'));
    await cluster.during(cluster.store(leader).addLearner('d'));
    expect(cluster.store(leader).members()).toEqual({ voters: THREE, learners: ['d'] });
    await cluster.during(cluster.store(others(leader)[0]!).promote('d'));
    expect(await cluster.during(cluster.store('d').list('k'))).toHaveLength(20);
    await cluster.during(cluster.store('d').remove(leader));
    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    await cluster.advance(1000);
    expect(cluster.store('d').members().voters).toEqual(cluster.names().filter((name) => name !== leader));
    await cluster.crash(leader);
    expect(await cluster.during(cluster.store('d').compareAndSet('after', 0, 1))).toMatchObject({ ok: true });
    await expect(cluster.during(cluster.store('d').promote('nobody'))).rejects.toMatchObject({ code: 'unsafe' });
  });

  it('brings a lagging agent up to date by a snapshot, and its watchers too', async () => {
    cluster = await TestCluster.of(THREE, { compactAfter: { entries: 4, characters: 1e9 } });
    const leader = await cluster.leader();
    const [behind] = others(leader) as [string];
    await cluster.during(cluster.store(leader).compareAndSet('gone', 0, 1));
    await cluster.during(cluster.store(leader).compareAndSet('kept', 0, 1));
    await cluster.advance(1000);
    const seen: unknown[] = [];
    cluster.store(behind).watch('', (change) => seen.push(change));
    await cluster.advance(100);
    seen.length = 0;
    cluster.partition([behind]);
    await cluster.during(cluster.store(leader).compareAndSet('gone', 1, null));
    for (let at = 0; at < 30; at += 1) await cluster.during(cluster.store(leader).compareAndSet(`k${at}`, 0, at));
    cluster.heal();
    await cluster.advance(3000);
    expect(seen).toHaveLength(31);
    expect(seen).toContainEqual({ key: 'gone', revision: expect.any(Number) as number, value: null });
    await cluster.crash(behind);
    cluster.restart(behind);
    expect(await cluster.during(cluster.store(behind).read('k29'))).toMatchObject({ value: 29 });
  });

  it('stops for good when its disk fails, and lets go of its leadership', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    cluster.hosts.get(leader)!.storage.broken = new Error('EIO');
    await expect(cluster.during(cluster.store(leader).compareAndSet('k', 0, 1))).rejects.toMatchObject({ code: 'agent-failed' });
    expect(cluster.fatal).toEqual([{ host: leader, error: new Error('EIO') }]);
    expect(cluster.store(leader).leadership()).toMatchObject({ self: false });
    cluster.hosts.get(leader)!.up = false;
    expect(await cluster.leader()).not.toBe(leader);
  });

  it('answers whoever still waits when it stops', async () => {
    cluster = await TestCluster.of(THREE);
    const leader = await cluster.leader();
    cluster.partition([leader]);
    const write = cluster.store(leader).compareAndSet('k', 0, 1);
    const read = cluster.store(leader).read('k');
    const refused = Promise.all([write, read].map((promise) => expect(promise).rejects.toMatchObject({ code: 'agent-failed' })));
    await cluster.advance(100);
    await cluster.crash(leader);
    await refused;
    await expect(cluster.store(leader).read('k')).rejects.toMatchObject({ code: 'agent-failed' });
  });
});
