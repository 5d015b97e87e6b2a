/** Brings a cluster's volumes into being on this machine: folders, and images on loop devices. */
import { lstat, mkdir } from 'node:fs/promises';
import { postgresOsUser } from '../engine/osuser.ts';
import type { ClusterSpec, VolumeSpec } from '../group/model.ts';
import { volumeFacts } from '../volume/facts.ts';
import { createImage, growImage } from '../volume/image.ts';
import { imageFileOf } from '../volume/image-record.ts';
import { readMade, writeMade, type MadeFile, type MadeImage } from './admin.ts';
import type { Context } from './context.ts';
import type { DemoVolume } from './demo.ts';
import { chooseImageFs } from './plan/image.ts';
import { volumesHere } from './plan/where.ts';

/** Notes down what will be made outside the home, before it is: what is noted is made by the next `up` if not by this one. */
export async function noteVolumes(context: Context, spec: ClusterSpec, remote: readonly string[], demo: DemoVolume | null): Promise<void> {
  const made = await readMade(context.home, spec.cluster);
  const next = await planMade(volumesHere(spec, remote), demo, made);
  if (next !== made) await writeMade(context.home, spec.cluster, next);
}

async function planMade(volumes: readonly VolumeSpec[], demo: DemoVolume | null, made: MadeFile): Promise<MadeFile> {
  const images = [...made.images];
  const folders = [...made.folders];
  for (const volume of volumes) {
    const known = images.find((image) => image.path === volume.path);
    if (known !== undefined) {
      if (volume.size !== null && volume.size > known.size) images.splice(images.indexOf(known), 1, { ...known, size: volume.size });
    } else if (demo?.path === volume.path && demo.image !== null) images.push({ path: volume.path, ...demo.image });
    else if (volume.size !== null) images.push(await imageOf(volume.path, volume.size, volume.driver));
    else if (!folders.includes(volume.path) && (await isAbsent(volume.path))) folders.push(volume.path);
  }
  const same = images.length === made.images.length && folders.length === made.folders.length && images.every((image, i) => image === made.images[i]);
  return same ? made : { images, folders };
}

async function imageOf(path: string, size: number, driver: Parameters<typeof chooseImageFs>[0]): Promise<MadeImage> {
  return { path, file: imageFileOf(path), size, fs: chooseImageFs(driver, await volumeFacts()) };
}

/** Makes and mounts what was noted down; what is there already is left as it is. */
export async function makeVolumes(context: Context, cluster: string): Promise<void> {
  const { images, folders } = await readMade(context.home, cluster);
  const owner = await postgresOsUser();
  for (const { path, file, size, fs } of images) {
    const record = await createImage({ imageFile: file, mountPoint: path, size, fs, signal: context.signal, ...(owner === null ? {} : { owner }) });
    if (record.size < size) await growImage(file, size);
  }
  // PostgreSQL's user has to pass through it.
  for (const path of folders) if (await isAbsent(path)) await mkdir(path, { recursive: true, mode: 0o755 });
}

const isAbsent = async (path: string): Promise<boolean> => (await lstat(path).catch(() => null)) === null;
