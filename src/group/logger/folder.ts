/** Taking a logger's WAL away: aside when it will be begun anew, for good when the member goes. */
import { readMarker } from '../../volume/marker.ts';
import type { Volume } from '../../volume/volume.ts';
import { holdingOf, type Place } from '../member/place.ts';
import { asides } from '../member/steps/clear.ts';

/** Moves this member's folder to `<member>.aside-<incarnation>`, where it stays until the member streams again; deletes debris. */
export async function setAside(place: Place, volume: Volume): Promise<void> {
  const holding = await holdingOf(place);
  if (holding.kind === 'nothing') return;
  if (holding.kind === 'debris') {
    await volume.removeMember(place.dir);
    return;
  }
  const aside = `${place.dir}.aside-${holding.marker.incarnation}`;
  await volume.removeMember(aside);
  await volume.moveMember(place.dir, aside);
}

/** Deletes what was set aside. To be called when the member streams again: what its group acknowledged lies elsewhere. */
export async function dropAside(place: Place, volume: Volume): Promise<void> {
  for (const dir of await asides(place)) {
    const marker = await readMarker(dir);
    if (marker?.clusterId === place.clusterId && marker.member === place.member) await volume.removeMember(dir);
  }
}

/** The member goes: its folder and what was set aside. Only what carries this member's marker. @throws `not-ours` */
export async function removeFolders(place: Place, volume: Volume): Promise<void> {
  await holdingOf(place);
  await volume.removeMember(place.dir);
  await dropAside(place, volume);
}
