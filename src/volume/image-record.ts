/** The record beside an image file, `<image>.json`: that pgorbit made it, and what is needed to mount it again. */
import { resolve } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { readText, writeDurably } from '../durable.ts';

export type ImageFs = 'btrfs' | 'xfs';

export interface ImageRecord {
  format: 1;
  image: string;
  mountPoint: string;
  fs: ImageFs;
  /** Bytes of the image file. */
  size: number;
  /** The file system's own UUID, drawn before it was made. */
  uuid: string;
  /** `creating` from before the image file exists until it is mounted. */
  state: 'creating' | 'ready';
  /** The mount point did not exist before, and goes with the image. */
  madeMountPoint: boolean;
  /** ISO 8601; for people. */
  madeAt: string;
}

/** Where the image of a volume at `path` lies unless another file is named. */
export const imageFileOf = (path: string): string => `${path}.img`;

export const recordFile = (imageFile: string): string => `${resolve(imageFile)}.json`;

/** The record, or null where there is none. @throws `state-corrupt` */
export async function readImageRecord(imageFile: string): Promise<ImageRecord | null> {
  const file = recordFile(imageFile);
  const text = await readText(file);
  if (text === null) return null;
  const record = parseImageRecord(text);
  if (record?.image === resolve(imageFile)) return record;
  throw new PgorbitError('state-corrupt', `${file} is not the record of the image ${imageFile}`, {
    hint: 'it may have been moved together with its image: put both back, or name another image file',
  });
}

/** @throws `not-ours` where there is no record. */
export async function requireImageRecord(imageFile: string): Promise<ImageRecord> {
  const record = await readImageRecord(imageFile);
  if (record) return record;
  throw new PgorbitError('not-ours', `${imageFile} is not an image that pgorbit made (no ${recordFile(imageFile)})`, {
    hint: 'name an image that `pgorbit volume create` made',
  });
}

export async function writeImageRecord(record: ImageRecord): Promise<void> {
  await writeDurably(recordFile(record.image), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o644 });
}

/** A record's text checked; null where it is not one. */
export function parseImageRecord(text: string): ImageRecord | null {
  try {
    const record = JSON.parse(text) as Partial<ImageRecord> | null;
    const sound = record?.format === 1 && typeof record.image === 'string' && typeof record.mountPoint === 'string'
      && (record.fs === 'btrfs' || record.fs === 'xfs') && typeof record.size === 'number' && typeof record.uuid === 'string'
      && (record.state === 'creating' || record.state === 'ready') && typeof record.madeMountPoint === 'boolean';
    return sound ? (record as ImageRecord) : null;
  } catch {
    return null;
  }
}
