/** What a driver does: the three things that file systems do differently. */
import type { DriverName } from '../group/model.ts';
import type { Marker } from './marker.ts';

export interface CloneOptions {
  signal?: AbortSignal | undefined;
  /** Bytes of files done and to do; a snapshot reports once, at its end. */
  onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /** The copy's marker, there before the copy is. Without it the caller writes one afterwards. */
  marker?: Marker | undefined;
}

export interface CloneResult {
  /** Files cloned or copied; null for a snapshot, which does not count them. */
  files: number | null;
  /** Their bytes; null likewise. */
  bytes: number | null;
  /** Of these, bytes that had to be copied and so are not shared. */
  copiedBytes: number;
  /** What a person may want to know, one sentence each. */
  notes: string[];
}

export interface Driver {
  readonly name: DriverName;
  readonly atomicClone: boolean;
  /** Makes the folder `path`; its parent exists. */
  makeFolder(path: string): Promise<void>;
  /** Makes `target` from the member's folder `source`: what is the source's own left out, everything flushed. */
  cloneFolder(source: string, target: string, options: CloneOptions): Promise<CloneResult>;
  /** Deletes the folder and all in it. */
  deleteFolder(path: string): Promise<void>;
}
