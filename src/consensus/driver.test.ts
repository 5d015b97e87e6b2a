import { afterEach, describe, expect, it } from 'vitest';
import type { Message } from './core/types.ts';
import { Driver, type Timing } from './driver.ts';
import { StateMachine } from './state-machine.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { MemoryStorage } from './testing/memory-storage.ts';

const TIMING = { tickMs: 100, heartbeatMs: 200, electionMs: 1000 };

let driver: Driver;
afterEach(() => driver.stop());

interface One {
  clock: FakeClock;
  /** The types of what it has sent since the last look. */
  sent(): Message['type'][];
  /** As SIGSTOP; what is due comes when it goes on. */
  freeze(ms: number): Promise<void>;
  heartbeat(): Promise<void>;
  receive(body: { type: Message['type'] } & Record<string, unknown>): Promise<void>;
}

/** The voter b of a, b and c, whose elections begin after exactly one election timeout. */
async function one(timing: Timing = TIMING): Promise<One> {
  const clock = new FakeClock();
  const storage = new MemoryStorage();
  await storage.bootstrap({ index: 1, term: 0, conf: { voters: ['a', 'b', 'c'], learners: [] }, data: '' });
  const messages: Message[] = [];
  driver = new Driver({
    self: 'b', timing, storage, machine: new StateMachine(), clock: clock.for('b'), random: () => 0,
    send: (_to, message) => messages.push(message), onChanges: () => undefined, onProgress: () => undefined,
    onFatal: (error) => {
      throw error;
    },
    compactAfter: { entries: 1000, characters: 1e9 },
  });
  driver.start();
  const receive = async (body: object): Promise<void> => {
    driver.receive({ from: 'a', to: 'b', term: 1, ...body } as Message);
    await clock.advance(0);
  };
  return {
    clock, receive,
    sent: () => messages.splice(0).map(({ type }) => type),
    freeze: async (ms) => {
      clock.freeze('b');
      await clock.advance(ms);
      clock.thaw('b');
    },
    heartbeat: () => receive({ type: 'heartbeat', commit: 1, at: 1, round: 0 }),
  };
}

describe('the driver', () => {
  it('begins an election after an election timeout without a leader', async () => {
    const b = await one();
    await b.heartbeat();
    await b.clock.advance(950);
    expect(b.sent()).toEqual(['heartbeat-reply']);
    await b.clock.advance(100);
    expect(b.sent()).toEqual(['pre-vote', 'pre-vote']);
  });

  it('does not take a pause of its own for silence of the leader, whose messages are yet to be read', async () => {
    const b = await one();
    await b.heartbeat();
    await b.clock.advance(950);
    await b.freeze(3000);
    await b.clock.advance(10);
    expect(b.sent()).toEqual(['heartbeat-reply']);
    await b.heartbeat();
    expect(driver.status()).toMatchObject({ role: 'follower', leader: 'a' });
    // A pause is made up for again, once the leader was heard.
    await b.clock.advance(950);
    await b.freeze(3000);
    await b.clock.advance(850);
    expect(b.sent()).toEqual(['heartbeat-reply']);
    // What is silent from then on is replaced.
    await b.clock.advance(200);
    expect(b.sent()).toEqual(['pre-vote', 'pre-vote']);
  });

  it('replaces a leader that is gone where every tick comes late', async () => {
    const b = await one();
    await b.heartbeat();
    b.sent();
    for (let pause = 0; pause < 12; pause += 1) {
      await b.freeze(700);
      await b.clock.advance(10);
    }
    expect(b.sent()).toEqual(['pre-vote', 'pre-vote']);
  });

  it('as the leader writes a heartbeat with every tick while its ticks come late', async () => {
    const b = await one({ ...TIMING, heartbeatMs: 400 });
    await b.clock.advance(1050);
    await b.receive({ type: 'pre-vote-reply', granted: true });
    await b.receive({ type: 'vote-reply', granted: true });
    expect(driver.status().role).toBe('leader');
    b.sent();
    await b.clock.advance(800);
    expect(b.sent().filter((type) => type === 'heartbeat')).toHaveLength(4);
    await b.receive({ type: 'heartbeat-reply', at: driver.status().ticks, round: 0 });
    for (const pause of [550, 220, 220]) {
      await b.freeze(pause);
      await b.clock.advance(10);
    }
    expect(b.sent().filter((type) => type === 'heartbeat')).toHaveLength(6);
  });

  it('sets no timer for ticks with which nothing happens, and counts them all the same', async () => {
    const b = await one();
    let timers = 0;
    b.clock.onTimer = () => {
      timers += 1;
    };
    for (let beat = 0; beat < 10; beat += 1) {
      await b.heartbeat();
      await b.clock.advance(210);
    }
    expect(timers).toBe(0);
    expect(driver.status().ticks).toBeGreaterThanOrEqual(18);
    expect(driver.status().ticks).toBeLessThanOrEqual(21);
    // Less than an election timeout after the last heartbeat a voter is still promised, whoever asks.
    await b.clock.advance(650);
    b.sent();
    await b.receive({ type: 'pre-vote', from: 'c', term: 2, lastIndex: 9, lastTerm: 1 });
    expect(b.sent()).toEqual([]);
  });
});
