import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatErrors, loadManifest } from './load.ts';
import type { CheckSetting } from './load.ts';

// Each testdata/x.yaml is a bad manifest and testdata/x.txt what a person reads of it. After a wanted change of words:
// `npx vitest run --update src/manifest/golden.test.ts`, then read the difference.
// The engine's rules are tested beside the engine; one stands for all here.
const checkSetting: CheckSetting = (name, value) =>
  name === 'fsync' && value === 'off' ? { ok: false, reason: 'a crash would corrupt the data', instead: '`synchronous_commit: off`' } : { ok: true };

const folder = new URL('testdata/', import.meta.url);

describe('errors of bad manifests', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
    it(`${file} reads as its .txt says`, async () => {
      const text = readFileSync(new URL(file, folder), 'utf8');
      const loaded = loadManifest(text, { file, baseDir: '/etc/pgorbit', checkSetting });
      expect(loaded.ok).toBe(false);
      const output = loaded.ok ? '' : formatErrors(loaded.errors, text);
      await expect(output).toMatchFileSnapshot(new URL(file.replace(/yaml$/, 'txt'), folder).pathname);
    });
  }
});
