import { PgorbitError } from '../errors.ts';

/** The text of the demo cluster's manifest, with comments: one primary and two replicas on a shared volume. */
export function demoManifest(options: { cluster?: string; volumePath: string; hosts?: number }): string {
  throw new PgorbitError('internal', `no demo yet at ${options.volumePath}`);
}
