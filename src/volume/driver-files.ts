/** Drivers `reflink` and `copy`: a member's folder is a plain folder, cloned or copied file by file. */
import { rm, mkdir } from 'node:fs/promises';
import { PgorbitError } from '../errors.ts';
import { cloneFiles } from './clone-files.ts';
import { complaint, run } from './command.ts';
import type { Driver } from './driver.ts';
import { refuseOutsideLinks } from './outside.ts';
import { planClone } from './plan-clone.ts';

export function filesDriver(name: 'reflink' | 'copy'): Driver {
  return {
    name,
    atomicClone: false,

    async makeFolder(path) {
      await mkdir(path, { mode: 0o755 });
    },

    async cloneFolder(source, target, options) {
      await refuseOutsideLinks(source);
      const plan = await planClone(source);
      const result = await cloneFiles(source, target, plan, { ...options, reflink: name === 'reflink' });
      // One syncfs(2) in place of thousands of fsyncs, as PostgreSQL's own sync methods know it.
      const synced = await run('sync', ['-f', target]);
      if (synced.code !== 0) throw new PgorbitError('volume-failed', `could not flush ${target}: ${complaint(synced)}`);
      return result;
    },

    async deleteFolder(path) {
      await rm(path, { recursive: true, force: true });
    },
  };
}
