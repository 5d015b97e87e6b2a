/** Taking a member's data away: aside when it will be made anew, for good when the member goes. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, PgorbitError } from '../../../errors.ts';
import { readMarker } from '../../../volume/marker.ts';
import type { Volume } from '../../../volume/volume.ts';
import type { Member } from '../member.ts';
import { holdingOf, type Place } from '../place.ts';

const ASIDE = '.aside-';

/**
 * Moves whole data to `<member>.aside-<incarnation>`, where they stay until the member is healthy again; deletes what
 * was only half made, which nobody ever ran on.
 */
export async function setAside(member: Member, volume: Volume): Promise<void> {
  const { place } = member;
  const holding = await holdingOf(place);
  if (holding.kind === 'nothing') return;
  if (holding.kind === 'debris' || holding.marker.incarnation === 0) {
    await volume.removeMember(place.dir);
    return;
  }
  const aside = `${place.dir}${ASIDE}${holding.marker.incarnation}`;
  await volume.removeMember(aside);
  await volume.moveMember(place.dir, aside);
}

/**
 * Deletes what was set aside. To be called when the member streams again: the proof that its primary has everything
 * that a failed member could have held is the take-over's replay to the last record, or the streaming itself.
 */
export async function dropAside(member: Member, volume: Volume): Promise<void> {
  for (const dir of await asides(member.place)) {
    const marker = await readMarker(dir);
    if (marker?.clusterId === member.place.clusterId && marker.member === member.place.member) await volume.removeMember(dir);
  }
}

/** The member goes: its folder, what was set aside, its log and socket. Only what carries this member's marker. */
export async function removeMember(member: Member, volume: Volume): Promise<void> {
  const { place } = member;
  if (member.postmaster !== null) throw new PgorbitError('internal', `${place.member} still runs: its files stay`);
  await holdingOf(place);
  await volume.removeMember(place.dir);
  await dropAside(member, volume);
  await member.removeHome();
}

/** The folders of what was set aside. */
export async function asides(place: Place): Promise<string[]> {
  const parent = dirname(place.dir);
  const prefix = `${basename(place.dir)}${ASIDE}`;
  const names = await readdir(parent).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(parent, name));
}
