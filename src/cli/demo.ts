/** The demo cluster: its manifest, and the best volume that this machine allows. */
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Context } from './context.ts';
import { demoManifest } from '../manifest/demo.ts';
import type { ImageFs } from '../volume/image-record.ts';
import { volumeFacts } from '../volume/facts.ts';
import { chooseDriver } from '../volume/probe.ts';
import { nearestFolder } from './files.ts';
import type { ManifestInput } from './manifest.ts';
import { chooseImageFs, demoSize, imageObstacle } from './plan/image.ts';

export const DEMO = 'demo';

/** How the demo's volume is made: an image, or null for a plain folder; and why, for a person. */
export interface DemoVolume {
  path: string;
  image: { file: string; size: number; fs: ImageFs } | null;
  why: string;
}

export function demoInput(context: Context): { input: ManifestInput; path: string } {
  const path = join(context.home, `${DEMO}-volume`);
  return { path, input: { text: demoManifest({ cluster: DEMO, volumePath: path }), shown: "the demo's manifest", source: null, baseDir: context.home } };
}

/** Looks for the best: a folder that clones already, else an image volume, else plain copies. */
export async function chooseDemoVolume(path: string): Promise<DemoVolume> {
  const parent = await nearestFolder(dirname(path));
  const here = await chooseDriver(parent, 'auto');
  if (here.driver !== 'copy') return { path, image: null, why: `a folder, because ${here.why}` };
  const facts = await volumeFacts();
  const fs = chooseImageFs('auto', facts);
  const obstacle = imageObstacle(fs, facts);
  const space = await statfs(parent);
  const size = demoSize(space.bavail * space.bsize);
  if (obstacle === null && size !== null) {
    return { path, image: { file: `${path}.img`, size, fs }, why: `a ${size / 1024 ** 3} GB ${fs} volume in the file ${path}.img, because ${here.why.replace(/,.*/, '')} and an image can be mounted here` };
  }
  const lacking = obstacle === null ? 'the disk has little room' : obstacle.message;
  return { path, image: null, why: `plain copies, because ${here.why}, and for an image volume ${lacking}${obstacle?.hint === undefined ? '' : ` (${obstacle.hint})`}` };
}
