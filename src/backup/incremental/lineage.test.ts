import { expect, it } from 'vitest';
import type { BackupInfo } from '../info.ts';
import { checkLineage, generationAt } from './lineage.ts';

it('names a missing file as the store does, also where that is no folder', async () => {
  const store = { path: (key: string) => `s3://bucket/${key}`, get: async () => null };
  const error = await checkLineage([generationAt(store, 'one/data', {} as BackupInfo)]).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'backup-damaged', message: 's3://bucket/one/data/backup_manifest is missing' });
});
