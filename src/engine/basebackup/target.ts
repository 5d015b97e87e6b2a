/** Where the files of a base backup go: a folder of this machine (folder-target.ts), or another place that takes them as they arrive. */

export interface BackupTarget {
  /** For messages. */
  readonly where: string;
  /** The folders that came, where they would be lost because it holds only files. */
  readonly folders?: string[];
  /** Makes it ready, and refuses what is not empty. */
  prepare(): Promise<void>;
  /** The arguments are those of TreeWriter. */
  open(onWritten: () => void, onFailure: (error: unknown) => void): Tree;
  /** All that was written is durable. */
  sync(): Promise<void>;
  /** The manifest is written last. */
  seal(manifest: Buffer): Promise<void>;
}

/** Paths are relative, one char a byte (Latin-1). */
export interface Tree {
  /** Bytes behind which the source has to wait, and at which it goes on. */
  readonly limits: { most: number; resume: number };
  /** Bytes that were added and are not written yet, and something for each file. */
  readonly backlog: number;
  folder(path: string): void;
  /** Begins a new file of so many bytes. */
  file(path: string, size: number): Sink;
  /** Resolves when every file is closed. */
  settled(): Promise<void>;
  /** Writes no more; a file that was not ended ends here. */
  abandon(): void;
}

/** Takes the bytes of one file; a piece is only valid until the call returns. */
export interface Sink {
  add(piece: Buffer): void;
  end(): void;
}
