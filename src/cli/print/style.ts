/** Colours, where the terminal shows them: NO_COLOR (no-color.org) and a pipe turn them off, FORCE_COLOR turns them on. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

const plain = (text: string): string => text;
const code = (on: number, off: number) => (text: string): string => `\u001b[${on}m${text}\u001b[${off}m`;

export const PLAIN: Style = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain };
export const COLOUR: Style = { bold: code(1, 22), dim: code(2, 22), red: code(31, 39), green: code(32, 39), yellow: code(33, 39) };

export function styleFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Style {
  if (env['NO_COLOR']) return PLAIN;
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return COLOUR;
  return stream.isTTY === true && env['TERM'] !== 'dumb' ? COLOUR : PLAIN;
}
