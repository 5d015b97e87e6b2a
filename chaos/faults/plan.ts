/** Which faults a round has, drawn from its seed. Pure. */
import type { Prng } from '../../sim/kernel/prng.ts';
import type { Topology } from '../topologies.ts';

export type Aim = 'primary' | 'replica' | 'logger' | 'leader' | 'any';

export type FaultKind =
  | 'kill-postgres' | 'kill-family' | 'kill-logger' | 'kill-agent' | 'kill-host'
  | 'freeze-host' | 'freeze-agent' | 'freeze-member'
  | 'isolate' | 'isolate-out' | 'isolate-in' | 'isolate-with-client' | 'cut-pair' | 'cut-pair-one-way' | 'unplug'
  | 'storm' | 'flap' | 'stutter'
  | 'fill-disk' | 'switchover' | 'add-and-remove';

/** ms, counted from the beginning of the faults. */
export interface Fault {
  kind: FaultKind;
  at: number;
  lasts: number;
  aim: Aim;
  /** 0 <= x < 1: chooses among several that the aim fits; a second number where two are needed. */
  pick: [number, number];
}

interface Kind {
  weight: number;
  aims: readonly (readonly [number, Aim])[];
  /** How long it may last, ms; none for what is done in a moment. */
  lasts?: readonly [number, number];
  needs?: (topology: Topology) => boolean;
}

const HOSTS: Kind['aims'] = [[5, 'primary'], [2, 'leader'], [2, 'replica'], [1, 'logger'], [2, 'any']];
const local = (topology: Topology): boolean => topology.storage === 'local';

const KINDS: Record<FaultKind, Kind> = {
  'kill-postgres': { weight: 5, aims: [[3, 'primary'], [1, 'replica']] },
  'kill-family': { weight: 2, aims: [[3, 'primary'], [1, 'replica']] },
  'kill-logger': { weight: 2, aims: [[1, 'logger']], needs: (topology) => Object.values(topology.members).some(({ role }) => role === 'logger') },
  'kill-agent': { weight: 3, aims: HOSTS, lasts: [200, 10_000] },
  'kill-host': { weight: 4, aims: HOSTS, lasts: [500, 15_000] },
  'freeze-host': { weight: 5, aims: HOSTS, lasts: [1_000, 20_000] },
  'freeze-agent': { weight: 2, aims: HOSTS, lasts: [1_000, 12_000] },
  'freeze-member': { weight: 2, aims: [[2, 'primary'], [2, 'replica'], [1, 'logger']], lasts: [500, 10_000] },
  isolate: { weight: 4, aims: HOSTS, lasts: [1_000, 20_000] },
  'isolate-out': { weight: 2, aims: HOSTS, lasts: [1_000, 15_000] },
  'isolate-in': { weight: 2, aims: HOSTS, lasts: [1_000, 15_000] },
  'isolate-with-client': { weight: 3, aims: [[1, 'primary']], lasts: [1_000, 20_000] },
  'cut-pair': { weight: 2, aims: HOSTS, lasts: [1_000, 20_000] },
  'cut-pair-one-way': { weight: 2, aims: HOSTS, lasts: [1_000, 20_000] },
  unplug: { weight: 2, aims: HOSTS, lasts: [500, 15_000] },
  // Whoever is the primary is killed, again and again.
  storm: { weight: 2, aims: [[1, 'primary']], lasts: [2_000, 15_000] },
  // Cut off and back, or frozen and thawed, several times a second to once in two.
  flap: { weight: 2, aims: HOSTS, lasts: [2_000, 15_000] },
  stutter: { weight: 2, aims: HOSTS, lasts: [2_000, 12_000] },
  // A shared volume is not the host's own disk.
  'fill-disk': { weight: 2, aims: HOSTS, lasts: [1_000, 12_000], needs: local },
  switchover: { weight: 3, aims: [[1, 'any']] },
  'add-and-remove': { weight: 2, aims: [[1, 'any']], lasts: [1_000, 15_000] },
};

export interface Plan {
  /** ms from the first fault to the last one's end. */
  length: number;
  faults: Fault[];
}

/** @param longest ms of faults at most; at least 4 s are drawn. */
export function drawPlan(random: Prng, topology: Topology, longest: number): Plan {
  const length = random.int(Math.min(4_000, longest), longest);
  const count = random.weighted([[4, 1], [5, 2], [4, 3], [2, 4]] as const);
  const kinds = Object.entries(KINDS).flatMap(([name, kind]) => (kind.needs === undefined || kind.needs(topology) ? [[kind.weight, { name: name as FaultKind, ...kind }] as const] : []));
  const faults = Array.from({ length: count }, (_, i): Fault => {
    const { name, aims, lasts } = random.weighted(kinds);
    // The first one at once; the others while it lasts, or close behind.
    const at = i === 0 ? 0 : random.int(0, Math.floor(length * 0.7));
    const [from, to] = lasts ?? [0, 0];
    return { kind: name, at, lasts: Math.min(random.int(from, to), length - at), aim: random.weighted(aims), pick: [random.unit(), random.unit()] };
  });
  return { length, faults: faults.sort((a, b) => a.at - b.at) };
}

export function describeFault({ kind, aim, at, lasts }: Fault): string {
  return `${kind} of ${aim} at ${(at / 1000).toFixed(1)} s${lasts === 0 ? '' : ` for ${(lasts / 1000).toFixed(1)} s`}`;
}
