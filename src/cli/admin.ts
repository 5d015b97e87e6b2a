/**
 * What the CLI keeps of a cluster in <home>/<cluster>/admin, beside its certificate and the authority's key: who the
 * agents are, what was applied last and from where, and what pgorbit made outside its home.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentAddress } from '../agent/config.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import type { ImageFs } from '../volume/image-record.ts';
import { adminDir, manifestFile } from '../home.ts';
import { readJson, readText, writeJson, writeWhole } from './files.ts';

/** admin/cluster.json: written first of all, so that an `up` which was killed is taken up where it ended. */
export interface ClusterFile {
  format: 1;
  cluster: string;
  clusterId: string;
  /** Of hosts of this machine. */
  agents: AgentAddress[];
  /** Of hosts elsewhere that have joined, as they were known last. */
  remote: AgentAddress[];
  /** The hosts that the cluster began with: their agents made its first state together. */
  founders: string[];
}

/** admin/applied.json */
export interface AppliedFile {
  /** The user's own manifest, absolute, or null for the demo. */
  source: string | null;
  /** What relative paths in the manifest are relative to. */
  baseDir: string;
  /** SHA-256 of the text that was applied last. */
  sha256: string;
  /** The spec as it was applied, ports settled; null while the first `up` has not come that far. */
  spec: ClusterSpec | null;
}

export interface MadeImage {
  path: string;
  file: string;
  size: number;
  fs: ImageFs;
}

/** admin/made.json: written before each thing is made. */
export interface MadeFile {
  /** Image volumes: where they are mounted, the file, its bytes and file system. */
  images: MadeImage[];
  /** Folders made for a volume outside the cluster's own folder. */
  folders: string[];
}

const clusterFile = (home: string, cluster: string): string => join(adminDir(home, cluster), 'cluster.json');
const appliedFile = (home: string, cluster: string): string => join(adminDir(home, cluster), 'applied.json');
const madeFile = (home: string, cluster: string): string => join(adminDir(home, cluster), 'made.json');

export async function readCluster(home: string, cluster: string): Promise<ClusterFile | null> {
  const file = await readJson<ClusterFile>(clusterFile(home, cluster));
  return file === null ? null : { ...file, remote: file.remote ?? [] };
}
export const writeCluster = (home: string, file: ClusterFile): Promise<void> => writeJson(clusterFile(home, file.cluster), file);
export const readApplied = (home: string, cluster: string): Promise<AppliedFile | null> => readJson(appliedFile(home, cluster));
export const writeApplied = (home: string, cluster: string, file: AppliedFile): Promise<void> => writeJson(appliedFile(home, cluster), file);
export const readManifest = (home: string, cluster: string): Promise<string | null> => readText(manifestFile(home, cluster));
export const writeManifest = (home: string, cluster: string, text: string): Promise<void> => writeWhole(manifestFile(home, cluster), text);
export const writeMade = (home: string, cluster: string, file: MadeFile): Promise<void> => writeJson(madeFile(home, cluster), file);
export async function readMade(home: string, cluster: string): Promise<MadeFile> {
  return (await readJson<MadeFile>(madeFile(home, cluster))) ?? { images: [], folders: [] };
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The clusters that this home holds, by name. */
export async function listClusters(home: string): Promise<string[]> {
  let names: string[];
  try {
    names = (await readdir(home, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    if (errnoOf(cause) === 'EACCES' || errnoOf(cause) === 'ENOTDIR') throw new PgorbitError('permission', `${home} can't be read: ${(cause as Error).message}`, { hint: 'set PGORBIT_HOME to a folder of your own', cause });
    throw cause;
  }
  const found = await Promise.all(names.map(async (name) => ((await readText(clusterFile(home, name))) === null ? null : name)));
  return found.filter((name) => name !== null).sort();
}
