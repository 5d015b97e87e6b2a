/**
 * `pid` in a companion's folder: which process it is. It is the lock that keeps a second one out (two loggers would
 * destroy what the first has acknowledged), and how an agent that starts anew finds the one that runs on.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive, type ProcessId } from './proc.ts';
import { PgorbitError, errnoOf } from '../errors.ts';

const fileIn = (dir: string): string => join(dir, 'pid');

/** The living process that has claimed the folder, or null. */
export function claimant(dir: string): ProcessId | null {
  const found = read(fileIn(dir));
  return found !== null && isAlive(found) ? found : null;
}

/** Makes this process the `what` (`logger`) of `dir`. Returns how to give it up. Throws PgorbitError `locked` while another lives. */
export function claimFolder(dir: string, what: string): () => void {
  const self = identify(process.pid);
  if (self === null) throw new PgorbitError('internal', 'this process does not find itself in /proc', { hint: 'mount /proc' });
  const file = fileIn(dir);
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(aside, `${JSON.stringify(self)}\n`, { mode: 0o644 });
  try {
    while (!linked(aside, file)) {
      const other = claimant(dir);
      if (other !== null) throw new PgorbitError('locked', `process ${other.pid} already is the ${what} of ${dir}`, { hint: 'nothing has to be done; to replace it, stop it first' });
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(aside, { force: true });
  }
  return () => rmSync(file, { force: true });
}

/** Whole from the first moment; false where there is a file already. */
function linked(aside: string, file: string): boolean {
  try {
    linkSync(aside, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function read(file: string): ProcessId | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const { pid, startTime, bootId } = JSON.parse(text) as Partial<ProcessId>;
    return typeof pid === 'number' && typeof startTime === 'string' && typeof bootId === 'string' ? { pid, startTime, bootId } : null;
  } catch {
    return null; // cut short by a power failure: of nobody who lives
  }
}
