/** A new database system: the first member of a group. */
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { readControlFile } from '../../../engine/control.ts';
import { initdb } from '../../../engine/initdb.ts';
import { replaceFile } from '../../../engine/files.ts';
import { PgorbitError } from '../../../errors.ts';
import { writeMarker } from '../../../volume/marker.ts';
import type { Volume } from '../../../volume/volume.ts';
import type { Member } from '../member.ts';
import { holdingOf } from '../place.ts';

/** The member's folder carries a marker of incarnation 0 until initdb is done: what is in it then may be thrown away. */
export async function createSystem(member: Member, volume: Volume, incarnation: number): Promise<void> {
  const { place, environment } = member;
  const holding = await holdingOf(place);
  if (holding.kind === 'data' && holding.marker.incarnation > 0) throw new PgorbitError('unsafe', `${place.dir} holds a database system already`);
  member.nowDoing('initdb');
  await volume.removeMember(place.dir);
  await volume.createMember(place.dir, member.marker(0, 0));
  await chmod(place.dir, 0o755);
  await initdb({
    engine: member.orders.engine,
    dataDir: place.dataDir,
    user: environment.user,
    superuser: environment.secrets.agent.user,
    password: environment.secrets.agent.password,
  });
  await replaceFile(join(place.dataDir, 'pg_ident.conf'), '# Written by pgorbit: nobody is mapped.\n');
  const { systemIdentifier } = await readControlFile(place.dataDir);
  await writeMarker(place.dir, { ...member.marker(incarnation, 0), systemIdentifier });
}
