/** Messages that a client sends: builders for the client side, parsers for the server side. */
import { Fields, cstring, int32, malformed, message } from './buffer.ts';

export const PROTOCOL_3_0 = 196_608;
const SSL_REQUEST = 80_877_103;
const GSSENC_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;

export type StartupPacket =
  | { kind: 'ssl' }
  | { kind: 'gssenc' }
  | { kind: 'cancel'; processId: number; secret: Buffer }
  /** `minor` above 0 and unknown `_pq_.` options are answered with NegotiateProtocolVersion. */
  | { kind: 'startup'; minor: number; parameters: Map<string, string> };

/** The first packet of a connection (ProcessStartupPacket). */
export function parseStartup(payload: Buffer): StartupPacket {
  const fields = new Fields(payload);
  const code = fields.int32();
  if (code === SSL_REQUEST) return { kind: 'ssl' };
  if (code === GSSENC_REQUEST) return { kind: 'gssenc' };
  if (code === CANCEL_REQUEST) return { kind: 'cancel', processId: fields.int32(), secret: fields.rest() };
  if (code >> 16 !== 3) throw malformed(`protocol version ${code >> 16}.${code & 0xffff}`);
  const parameters = new Map<string, string>();
  while (fields.left > 1) parameters.set(fields.cstring(), fields.cstring());
  return { kind: 'startup', minor: code & 0xffff, parameters };
}

export function sslRequest(): Buffer {
  return Buffer.concat([int32(8), int32(SSL_REQUEST)]);
}

export function startup(parameters: Record<string, string>): Buffer {
  const body = Buffer.concat([int32(PROTOCOL_3_0), ...Object.entries(parameters).flatMap(([name, value]) => [cstring(name), cstring(value)]), Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

export const query = (sql: string): Buffer => message('Q', cstring(sql));
export const passwordMessage = (password: string): Buffer => message('p', cstring(password));
export const saslInitial = (mechanism: string, response: string): Buffer => {
  const bytes = Buffer.from(response);
  return message('p', cstring(mechanism), int32(bytes.length), bytes);
};
export const saslResponse = (response: string): Buffer => message('p', Buffer.from(response));
export const copyData = (payload: Buffer): Buffer => message('d', payload);
export const copyDone = (): Buffer => message('c');
export const terminate = (): Buffer => message('X');

/** SASLInitialResponse on the server side. */
export function parseSaslInitial(payload: Buffer): { mechanism: string; response: string } {
  const fields = new Fields(payload);
  const mechanism = fields.cstring();
  const length = fields.int32();
  return { mechanism, response: length < 0 ? '' : fields.bytes(length).toString() };
}
