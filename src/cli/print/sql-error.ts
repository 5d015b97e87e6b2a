import { displayWidth } from './width.ts';

/** The fields of PostgreSQL's ErrorResponse that a person reads (protocol-error-fields in its documentation). */
export interface ServerError {
  severity?: string | undefined;
  code?: string | undefined;
  message: string;
  detail?: string | undefined;
  hint?: string | undefined;
  where?: string | undefined;
  /** Where in the statement, in characters from 1. */
  position?: string | undefined;
}

/** An error as psql's verbose form shows it, with the line of the statement and a caret under the place. */
export function renderServerError(error: ServerError, statement: string): string {
  const state = error.code === undefined ? '' : `  ${error.code}:`;
  const lines = [`${error.severity ?? 'ERROR'}:${state}  ${error.message}`];
  const at = Number(error.position);
  if (Number.isInteger(at) && at > 0) lines.push(...caret([...statement], at - 1));
  if (error.detail) lines.push(`DETAIL:  ${error.detail}`);
  if (error.hint) lines.push(`HINT:  ${error.hint}`);
  if (error.where) lines.push(`CONTEXT:  ${error.where}`);
  return `${lines.join('\n')}\n`;
}

function caret(chars: string[], at: number): string[] {
  const before = chars.slice(0, at);
  const number = before.filter((char) => char === '\n').length + 1;
  const from = before.lastIndexOf('\n') + 1;
  const end = chars.indexOf('\n', at);
  const line = chars.slice(from, end === -1 ? chars.length : end);
  const label = `LINE ${number}: `;
  // A tab stays a tab under a tab, so that the caret stands right whatever the terminal's tab stops are.
  const lead = [...label].map(() => ' ').join('') + line.slice(0, at - from).map((char) => (char === '\t' ? '\t' : ' '.repeat(displayWidth(char)))).join('');
  return [label + line.join(''), `${lead}^`];
}
