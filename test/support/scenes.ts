/** What system tests run on: an engine and a kind of volume, each with a plain reason where it is not there. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { embeddedPackage } from '../../src/engine/embedded.ts';
import { volumeFacts } from '../../src/volume/facts.ts';
import type { TestCluster } from './cluster.ts';
import { sharedManifest, type ManifestOptions } from './manifest.ts';

/** Debian's 15 and the embedded 18: both are tested everywhere. */
export const DEBIAN_15 = 15;
export const EMBEDDED_18 = 18;

export interface Scene {
  what: string;
  version: typeof DEBIAN_15 | typeof EMBEDDED_18;
  driver: 'btrfs' | 'reflink' | 'copy';
}

export const SCENES = {
  btrfs: { what: 'the embedded 18 on a btrfs image', version: EMBEDDED_18, driver: 'btrfs' },
  xfs: { what: "Debian's 15 on an XFS image", version: DEBIAN_15, driver: 'reflink' },
  folder: { what: 'the embedded 18 in a plain folder', version: EMBEDDED_18, driver: 'copy' },
} as const satisfies Record<string, Scene>;

/** Five members' own WAL, up to 80 MB each before it is shared again, and what XFS keeps for itself. */
const IMAGE_SIZE = '2GB';

/** The scene's manifest for a cluster; what `options` says wins. */
export function sceneManifest(cluster: TestCluster, scene: Scene, options: Partial<ManifestOptions> = {}): string {
  return sharedManifest({ volume: cluster.volume, firstPort: cluster.firstPort, version: scene.version, driver: scene.driver, ...(scene.driver === 'copy' ? {} : { size: IMAGE_SIZE }), ...options });
}

/** Why the scene can't be played on this machine, or null. */
export async function whyNotHere(scene: Scene): Promise<string | null> {
  const engine = whyNoEngine(scene.version);
  if (engine !== null || scene.driver === 'copy') return engine;
  const facts = await volumeFacts();
  if (!facts.root || !facts.loop) return 'an image volume needs root and loop devices';
  const fs = scene.driver === 'btrfs' ? 'btrfs' : 'XFS';
  const able = scene.driver === 'btrfs' ? facts.btrfsProgs && facts.kernelBtrfs : facts.xfsProgs && facts.kernelXfs;
  return able ? null : `${fs} or its programs are missing`;
}

export function whyNoEngine(version: number): string | null {
  if (version === DEBIAN_15) return existsSync('/usr/lib/postgresql/15/bin/postgres') ? null : 'postgresql-15 is not installed';
  try {
    createRequire(import.meta.url).resolve(embeddedPackage());
    return null;
  } catch {
    return `${embeddedPackage()} is not installed`;
  }
}
