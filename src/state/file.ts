/**
 * A small durable document: one header line, then JSON.
 *
 *   pgorbit-state <format> <CRC32C of what follows, hex> <bytes that follow>\n{"version":…,"value":…}
 *
 * The checksum tells a file that was damaged from one that was never written; both read as "no state" would let an
 * agent forget a promise.
 */
import { readFile } from 'node:fs/promises';
import { errnoOf, PgorbitError } from '../errors.ts';
import { crc32c } from '../wal/crc32c.ts';
import { writeDurably } from './durable.ts';

const FORMAT = 1;
const MAGIC = 'pgorbit-state';

/** What a state file holds: `version` is the shape of `value`, counted by its owner. */
export interface StateFile {
  version: number;
  value: unknown;
}

/** Replaces `file` (mode 0600). Durable when the promise resolves; on an error the old document is still there. */
export async function writeState(file: string, state: StateFile): Promise<void> {
  const body = Buffer.from(JSON.stringify({ version: state.version, value: state.value }));
  const header = Buffer.from(`${MAGIC} ${FORMAT} ${checksum(body)} ${body.length}\n`);
  await writeDurably(file, Buffer.concat([header, body]));
}

/**
 * The document in `file`, or null when there is no such file.
 * @throws PgorbitError `state-corrupt` for a file that is not what writeState wrote.
 */
export async function readState(file: string): Promise<StateFile | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
  const end = bytes.indexOf(0x0a);
  const [magic, format, sum, length] = bytes.subarray(0, Math.max(end, 0)).toString('latin1').split(' ');
  if (magic !== MAGIC) throw corrupt(file, 'it does not begin with the header of a state file');
  if (Number(format) !== FORMAT) throw corrupt(file, `its format is ${format}, and this pgorbit knows ${FORMAT}`);
  const body = bytes.subarray(end + 1);
  if (body.length !== Number(length)) throw corrupt(file, `it has ${body.length} bytes where its header says ${length}`);
  if (checksum(body) !== sum) throw corrupt(file, 'its checksum does not match');
  return JSON.parse(body.toString('utf8')) as StateFile;
}

function checksum(body: Buffer): string {
  return (crc32c(body) >>> 0).toString(16).padStart(8, '0');
}

function corrupt(file: string, why: string): PgorbitError {
  return new PgorbitError('state-corrupt', `The state file ${file} cannot be used: ${why}.`, {
    hint: 'Restore the file from a backup, or move it aside if another host of the cluster still has the state.',
  });
}
