import { array, assert, constantFrom, nat, option, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StateMachine } from './state-machine.ts';

const cas = (id: string, key: string, revision: number, value: unknown): string => JSON.stringify({ op: 'cas', id, key, revision, value });

describe('StateMachine', () => {
  it('writes, refuses and deletes by revision', () => {
    const machine = new StateMachine();
    expect(machine.apply(cas('1', 'k', 0, { a: 1 })).result).toEqual({ ok: true, revision: 1 });
    expect(machine.apply(cas('2', 'k', 0, 2)).result).toEqual({ ok: false, current: { key: 'k', revision: 1, value: { a: 1 } } });
    expect(machine.apply(cas('3', 'l', 0, 'x')).result).toEqual({ ok: true, revision: 2 });
    expect(machine.apply(cas('4', 'k', 1, 3)).result).toEqual({ ok: true, revision: 3 });
    expect(machine.list('')).toEqual([{ key: 'k', revision: 3, value: 3 }, { key: 'l', revision: 2, value: 'x' }]);
    expect(machine.apply(cas('5', 'k', 3, null))).toEqual({ result: { ok: true, revision: 4 }, change: { key: 'k', revision: 4, value: null } });
    expect(machine.get('k')).toBeNull();
    expect(machine.apply(cas('6', 'k', 3, 1)).result).toEqual({ ok: false, current: null });
  });

  it('deletes what is not there without a change', () => {
    const machine = new StateMachine();
    expect(machine.apply(cas('1', 'k', 0, null))).toEqual({ result: { ok: true, revision: 0 }, change: null });
  });

  it('answers a repeated request as before, and does it once, after a snapshot too', () => {
    const machine = new StateMachine();
    machine.apply(cas('1', 'k', 0, 'a'));
    machine.apply(cas('2', 'k', 1, 'b'));
    const restored = new StateMachine();
    restored.restore(machine.snapshot());
    for (const each of [machine, restored]) {
      expect(each.apply(cas('1', 'k', 0, 'a'))).toEqual({ result: { ok: true, revision: 1 }, change: null });
      expect(each.get('k')).toEqual({ key: 'k', revision: 2, value: 'b' });
    }
  });

  it('hands out copies', () => {
    const machine = new StateMachine();
    machine.apply(cas('1', 'k', 0, { list: [1] }));
    (machine.get('k')!.value as { list: number[] }).list.push(2);
    expect(machine.get('k')!.value).toEqual({ list: [1] });
  });

  it('tells changes since a revision, or that they are gone', () => {
    const machine = new StateMachine();
    for (let at = 0; at < 1030; at += 1) machine.apply(cas(`${at}`, `k${at}`, 0, at));
    expect(machine.changesSince(1028, 'k')).toEqual([{ key: 'k1028', revision: 1029, value: 1028 }, { key: 'k1029', revision: 1030, value: 1029 }]);
    expect(machine.changesSince(1028, 'other')).toEqual([]);
    expect(machine.changesSince(6, '')).toHaveLength(1024);
    expect(machine.changesSince(5, '')).toBeNull();
  });

  it('says what a restored snapshot changed', () => {
    const source = new StateMachine();
    const behind = new StateMachine();
    for (const machine of [source, behind]) {
      machine.apply(cas('1', 'same', 0, 1));
      machine.apply(cas('2', 'gone', 0, 1));
      machine.apply(cas('3', 'other', 0, 1));
    }
    source.apply(cas('4', 'gone', 2, null));
    source.apply(cas('5', 'other', 3, 2));
    expect(behind.restore(source.snapshot())).toEqual([
      { key: 'gone', revision: 5, value: null }, { key: 'other', revision: 5, value: 2 },
    ]);
    expect(() => behind.restore('{"v":2}')).toThrow(/version 2/);
  });

  it('is the same everywhere, whether it saw every entry or began from a snapshot', () => {
    const command = record({ id: nat(30), key: constantFrom('a', 'b', 'c'), revision: nat(6), value: option(nat(3)) });
    assert(property(array(command, { maxLength: 40 }), nat(40), (commands, cut) => {
      const whole = new StateMachine();
      const results = commands.map(({ id, key, revision, value }) => whole.apply(cas(`${id}`, key, revision, value)).result);
      const first = new StateMachine();
      for (const { id, key, revision, value } of commands.slice(0, cut)) first.apply(cas(`${id}`, key, revision, value));
      const second = new StateMachine();
      second.restore(first.snapshot());
      const rest = commands.slice(cut).map(({ id, key, revision, value }) => second.apply(cas(`${id}`, key, revision, value)).result);
      expect(rest).toEqual(results.slice(cut));
      expect(second.snapshot()).toBe(whole.snapshot());
    }));
  });
});
