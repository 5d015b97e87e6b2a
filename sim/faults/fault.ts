/** Something that goes wrong, at the moment at which it is called. */
import type { Prng } from '../kernel/prng.ts';
import type { World } from '../world/world.ts';

export type Fault = (world: World, random: Prng) => void;
