/** The JSON Schema of a manifest, for editors. `schema/pgorbit.schema.json` is what this gives, and a test holds it to that. */
import { z } from 'zod';
import { ManifestSchema } from './schema.ts';

/** The schema as JSON text with a final newline. Draft 7: the newest one that editors' YAML extensions know in full. */
export function manifestJsonSchema(): string {
  const schema = z.toJSONSchema(ManifestSchema, { target: 'draft-7', io: 'input' });
  return `${JSON.stringify({ $schema: schema.$schema, title: 'pgorbit manifest', ...schema }, null, 2)}\n`;
}
