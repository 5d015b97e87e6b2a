/** Golden scripts: testdata/*.txt. UPDATE_GOLDEN=1 writes what the core does now; review it as a diff. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatScript, Interaction, parseScript } from './testing/interaction.ts';

const folder = fileURLToPath(new URL('testdata', import.meta.url));

describe('golden interaction scripts', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));

  it.each(files)('%s', (name) => {
    const file = join(folder, name);
    const text = readFileSync(file, 'utf8');
    const interaction = new Interaction();
    const now = formatScript(parseScript(text).map((block) => ({ ...block, output: interaction.run(block.command) })));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, now);
    expect(now).toBe(readFileSync(file, 'utf8'));
  });

  it('there are scripts', () => expect(files.length).toBeGreaterThan(8));
});
