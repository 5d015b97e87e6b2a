/** The major version that a manifest leaves open. Pure. */
import type { ClusterSpec } from '../../group/model.ts';

/** Once it is settled it stays: the files of one major are not readable for another, and a newer one may be installed later. */
export function keepMajor(before: ClusterSpec, after: ClusterSpec): ClusterSpec {
  const { version } = before.engine;
  return version === null || after.engine.version !== null || after.engine.bin !== null ? after : { ...after, engine: { ...after.engine, version } };
}
