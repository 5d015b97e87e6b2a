/**
 * JSON that PostgreSQL reads in a database of any encoding: ASCII only. Everything else is an escape of the form
 * \uXXXX, and so is the backslash itself: a reader may then replace the escapes that its encoding has no character for
 * without taking them apart. What PostgreSQL's json cannot hold is replaced: NUL is dropped, and half a surrogate pair
 * becomes U+FFFD (documentation, "JSON Types").
 */
export function asciiJson(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? part.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\u{fffd}') : part));
  return text.replaceAll('\\\\', '\\u005c').replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
