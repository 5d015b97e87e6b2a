/** Physical replication slots of a logger: names under which a follower's need of WAL outlives its connection. */
import { ClientError } from '../../wire/server.ts';
import { timelineAt } from '../history.ts';
import { type Lsn, formatLsn, parseLsn, segmentStart } from '../lsn.ts';
import type { WalStore } from './store.ts';

interface Slot {
  restart: Lsn | null;
  temporary: boolean;
  owner: object | null;
}

export class Slots {
  readonly #store: WalStore;
  readonly #slots = new Map<string, Slot>();

  constructor(store: WalStore) {
    this.#store = store;
    for (const [name, { restartLsn }] of Object.entries(store.state.value.slots)) {
      this.#slots.set(name, { restart: restartLsn === null ? null : parseLsn(restartLsn), temporary: false, owner: null });
    }
  }

  /** The row of READ_REPLICATION_SLOT, or null. */
  read(name: string): (string | null)[] | null {
    const slot = this.#slots.get(name);
    if (!slot) return null;
    return slot.restart === null ? ['physical', null, null] : ['physical', formatLsn(slot.restart), String(timelineAt(this.#store.history, slot.restart))];
  }

  has(name: string): boolean {
    return this.#slots.has(name);
  }

  create(name: string, options: { temporary: boolean; reserveWal: boolean; owner: object }): void {
    if (!/^[a-z0-9_]{1,63}$/.test(name)) throw new ClientError('42602', `replication slot name "${name}" contains invalid character`);
    if (this.#slots.has(name)) throw new ClientError('42710', `replication slot "${name}" already exists`);
    const first = this.#store.segments()[0];
    this.#slots.set(name, { restart: options.reserveWal ? (first?.start ?? this.#store.flushed) : null, temporary: options.temporary, owner: options.temporary ? options.owner : null });
    if (!options.temporary) this.#save();
  }

  drop(name: string): void {
    const slot = this.#slots.get(name);
    if (!slot) throw new ClientError('42704', `replication slot "${name}" does not exist`);
    if (slot.owner !== null) throw new ClientError('55006', `replication slot "${name}" is active`);
    this.#slots.delete(name);
    if (!slot.temporary) this.#save();
  }

  acquire(name: string, owner: object): void {
    const slot = this.#slots.get(name);
    if (!slot) throw new ClientError('42704', `replication slot "${name}" does not exist`);
    if (slot.owner !== null && slot.owner !== owner) throw new ClientError('55006', `replication slot "${name}" is active`);
    slot.owner = owner;
  }

  /** A follower has flushed up to here. Saved a segment at a time: an older position on disk only keeps more. */
  advance(name: string, flushed: Lsn): void {
    const slot = this.#slots.get(name);
    if (!slot || flushed === 0n) return;
    const before = slot.restart;
    slot.restart = flushed;
    const size = this.#store.segmentSize;
    if (!slot.temporary && (before === null || segmentStart(before, size) !== segmentStart(flushed, size))) this.#save();
  }

  /** Lets go of one slot, or of all that the owner holds; temporary ones end with their connection. */
  release(owner: object, name?: string): void {
    for (const [one, slot] of this.#slots) {
      if (slot.owner !== owner || (name !== undefined && one !== name)) continue;
      if (slot.temporary && name === undefined) this.#slots.delete(one);
      else if (!slot.temporary) slot.owner = null;
    }
  }

  holds(): Lsn[] {
    return [...this.#slots.values()].flatMap((slot) => slot.restart ?? []);
  }

  #save(): void {
    const kept = [...this.#slots].filter(([, slot]) => !slot.temporary);
    this.#store.state.save({ slots: Object.fromEntries(kept.map(([name, slot]) => [name, { restartLsn: slot.restart === null ? null : formatLsn(slot.restart) }])) });
  }
}
