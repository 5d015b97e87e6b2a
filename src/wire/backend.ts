/** Messages that a server sends: builders for the server side, parsers for the client side. */
import { Fields, cstring, int16, int32, message } from './buffer.ts';

export const authenticationOk = (): Buffer => message('R', int32(0));
export const authenticationSasl = (mechanisms: string[]): Buffer => message('R', int32(10), ...mechanisms.map(cstring), Buffer.from([0]));
export const authenticationSaslContinue = (data: string): Buffer => message('R', int32(11), Buffer.from(data));
export const authenticationSaslFinal = (data: string): Buffer => message('R', int32(12), Buffer.from(data));
export const parameterStatus = (name: string, value: string): Buffer => message('S', cstring(name), cstring(value));
export const backendKeyData = (processId: number, secret: number): Buffer => message('K', int32(processId), int32(secret));
export const readyForQuery = (status: 'I' | 'T' | 'E' = 'I'): Buffer => message('Z', Buffer.from(status));
export const commandComplete = (tag: string): Buffer => message('C', cstring(tag));
export const emptyQueryResponse = (): Buffer => message('I');
export const copyBothResponse = (): Buffer => message('W', Buffer.from([0]), int16(0));
/** Says that only protocol 3.0 is spoken, and which options were not understood. */
export const negotiateProtocolVersion = (options: string[]): Buffer => message('v', int32(0), int32(options.length), ...options.map(cstring));

export const TEXT_OID = 25;
export const INT8_OID = 20;
const TYPE_LENGTH: Record<number, number> = { [TEXT_OID]: -1, [INT8_OID]: 8 };

export function rowDescription(columns: { name: string; type: number }[]): Buffer {
  return message('T', int16(columns.length), ...columns.flatMap(({ name, type }) =>
    [cstring(name), int32(0), int16(0), int32(type), int16(TYPE_LENGTH[type] ?? -1), int32(-1), int16(0)]));
}

/** All values in text format; null is NULL. */
export function dataRow(values: (string | Buffer | null)[]): Buffer {
  return message('D', int16(values.length), ...values.flatMap((value) => {
    if (value === null) return [int32(-1)];
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return [int32(bytes.length), bytes];
  }));
}

export interface ServerError {
  severity: string;
  /** SQLSTATE. */
  code: string;
  message: string;
  detail?: string;
  hint?: string;
}

const FIELD_CODES = { severity: 'S', code: 'C', message: 'M', detail: 'D', hint: 'H' } as const;

export function errorResponse(error: ServerError): Buffer {
  const fields = Object.entries(FIELD_CODES).flatMap(([key, letter]) => {
    const value = error[key as keyof ServerError];
    return value === undefined ? [] : [Buffer.from(letter), cstring(value)];
  });
  return message('E', ...fields, Buffer.from('V'), cstring(error.severity), Buffer.from([0]));
}

/** ErrorResponse or NoticeResponse. */
export function parseError(payload: Buffer): ServerError {
  const fields = new Fields(payload);
  const found: Record<string, string> = {};
  while (fields.left > 1) found[String.fromCharCode(fields.byte())] = fields.cstring();
  return {
    severity: found['V'] ?? found['S'] ?? 'ERROR',
    code: found['C'] ?? 'XX000',
    message: found['M'] ?? '',
    ...(found['D'] === undefined ? {} : { detail: found['D'] }),
    ...(found['H'] === undefined ? {} : { hint: found['H'] }),
  };
}

export function parseDataRow(payload: Buffer): (string | null)[] {
  const fields = new Fields(payload);
  return Array.from({ length: fields.int16() }, () => {
    const length = fields.int32();
    return length < 0 ? null : fields.bytes(length).toString();
  });
}

export function parseParameterStatus(payload: Buffer): { name: string; value: string } {
  const fields = new Fields(payload);
  return { name: fields.cstring(), value: fields.cstring() };
}
