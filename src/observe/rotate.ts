/**
 * Keeping a log within bounds while a process that cannot be told to reopen it writes on. The writer's descriptor is
 * O_APPEND, so after the file is cut to nothing its next line begins at 0 again.
 */
import { closeSync, constants, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { errnoOf } from '../errors.ts';

/** 64 MB. */
export const LOG_LIMIT = 64 * 1024 * 1024;

/**
 * Copies `file` to `file.1` (the one old file that is kept) and cuts it to nothing once it is larger than `limit`
 * bytes. True when it was. Lines that are written within the last copying step may be lost: microseconds, not
 * seconds, because the bulk is copied before and only the rest in one synchronous step.
 */
export async function rotateLog(file: string, limit: number = LOG_LIMIT): Promise<boolean> {
  if (!(await isLarger(file, limit))) return false;
  const aside = `${file}.1.tmp`;
  await copyFile(file, aside, constants.COPYFILE_FICLONE);
  finish(file, aside);
  renameSync(aside, `${file}.1`);
  return true;
}

async function isLarger(file: string, limit: number): Promise<boolean> {
  try {
    return (await stat(file)).size > limit;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Copies what came since the bulk was copied, and cuts the log. */
function finish(file: string, aside: string): void {
  const from = openSync(file, 'r+');
  const to = openSync(aside, 'a');
  try {
    const buffer = Buffer.alloc(64 * 1024);
    let at = statSync(aside).size;
    for (;;) {
      const length = readSync(from, buffer, 0, buffer.length, at);
      if (length === 0) break;
      at += writeSync(to, buffer, 0, length);
    }
    ftruncateSync(from, 0);
  } finally {
    closeSync(from);
    closeSync(to);
  }
}
