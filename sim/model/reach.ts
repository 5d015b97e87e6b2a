/** What a member is told of an upstream that it can't reach, as Reach finds it on a real one. */
import type { ErrorReport } from '../../src/errors.ts';
import type { World } from '../world/world.ts';

const UNREACHED: ErrorReport = { code: 'host-unreachable', message: 'its upstream can\'t be reached' };

/** A frozen server's kernel answers all the same. @param host that asks */
export function unreached(world: World, host: string, port: number): ErrorReport | null {
  const upstream = world.disks.listening(port);
  return upstream !== undefined && world.network.linked(host, upstream.host) ? null : UNREACHED;
}
