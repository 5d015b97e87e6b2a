/** One that writes to a part of a folder at a time, over all machines that share it. A dead owner's lock is taken over. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { identify, isAlive, type ProcessId } from '../engine/proc.ts';
import { errnoOf, PgorbitError } from '../errors.ts';

interface Owner extends ProcessId {
  host: string;
  what: string;
  since: string;
}

/** Makes `file` this process's. Returns how to give it up. Throws PgorbitError `locked` while another holds it, and system errors. */
export async function lockFile(file: string, what: string): Promise<() => Promise<void>> {
  const self = identify(process.pid);
  if (self === null) throw new PgorbitError('internal', 'this process does not find itself in /proc', { hint: 'mount /proc' });
  const owner: Owner = { ...self, host: hostname(), what, since: new Date().toISOString() };
  const aside = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(aside, JSON.stringify(owner), { mode: 0o600, flag: 'wx' });
    while (!(await linked(aside, file))) await clearDead(file);
  } finally {
    await rm(aside, { force: true });
  }
  return () => rm(file, { force: true });
}

/** Whole from the first moment; false where there is a file already. */
async function linked(aside: string, file: string): Promise<boolean> {
  try {
    await link(aside, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function clearDead(file: string): Promise<void> {
  await refuseLiving(file, file);
  const dead = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await rename(file, dead);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  // Between the look and the move another may have taken it over: then it is given back.
  try {
    await refuseLiving(dead, file);
  } catch (error) {
    await linked(dead, file);
    throw error;
  } finally {
    await rm(dead, { force: true });
  }
}

async function refuseLiving(file: string, shown: string): Promise<void> {
  let owner: Owner;
  try {
    owner = JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return;
    throw error;
  }
  const here = owner.host === hostname();
  if (here && !isAlive(owner)) return;
  throw new PgorbitError('locked', `${owner.what} is at work (process ${owner.pid} on ${owner.host}, since ${owner.since})`, {
    hint: here ? 'wait until it has ended and try again' : `wait until it has ended; if ${owner.host} is gone for good, delete ${shown}`,
  });
}
