import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseMarker, readMarker, readOwnMarker, writeMarker, type Marker } from './marker.ts';
import { testFolder } from './testing/folder.ts';

const marker: Marker = {
  format: 1, clusterId: 'c1', cluster: 'shop', group: 'main', member: 'n1', incarnation: 2, term: 7,
  systemIdentifier: '7123456789012345678', madeAt: '2025-01-01T00:00:00.000Z',
};

test('a marker comes back as it was written, and nothing else is left', async () => {
  const dir = await testFolder();
  await writeMarker(dir, marker);
  await writeMarker(dir, { ...marker, incarnation: 3 });
  expect(await readMarker(dir)).toEqual({ ...marker, incarnation: 3 });
  expect(await readdir(dir)).toEqual(['pgorbit.json']);
});

test('an absent or empty folder has no marker, one with other content is refused', async () => {
  const dir = await testFolder();
  expect(await readMarker(join(dir, 'none'))).toBeNull();
  expect(await readMarker(dir)).toBeNull();
  await writeFile(join(dir, '.pgorbit.json.17.abcd.tmp'), '{');
  expect(await readMarker(dir)).toBeNull();
  await mkdir(join(dir, 'data'));
  await expect(readMarker(dir)).rejects.toMatchObject({ code: 'not-ours' });
});

test('a file that is no marker is refused, and so is a plain file in place of the folder', async () => {
  const dir = await testFolder();
  await writeFile(join(dir, 'pgorbit.json'), '{"format":1}');
  await expect(readMarker(dir)).rejects.toMatchObject({ code: 'not-ours' });
  await expect(readMarker(join(dir, 'pgorbit.json'))).rejects.toMatchObject({ code: 'not-ours' });
});

test('another cluster and another member are told apart', async () => {
  const dir = await testFolder();
  await writeMarker(dir, marker);
  expect(await readOwnMarker(dir, marker)).toEqual(marker);
  await expect(readOwnMarker(dir, { ...marker, clusterId: 'c2' })).rejects.toThrow(/belongs to another cluster \(shop, id c1\)/);
  await expect(readOwnMarker(dir, { ...marker, member: 'n2' })).rejects.toThrow(/belongs to member n1 of group main, not to n2/);
});

test('only a whole marker is one', () => {
  expect(parseMarker(JSON.stringify(marker))).toEqual(marker);
  for (const text of ['', 'null', '[]', '7', JSON.stringify({ ...marker, format: 2 }), JSON.stringify({ ...marker, term: '7' })]) {
    expect(parseMarker(text)).toBeNull();
  }
});
