/**
 * How many columns a terminal gives to a text: two to East Asian wide characters and emoji, none to combining marks
 * (Unicode Standard Annex 11, as PostgreSQL's psql reckons too: src/common/wchar.c, ucs_wcwidth).
 */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], [0x2e80, 0x303e], [0x3041, 0x33ff], [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xa000, 0xa4cf],
  [0xac00, 0xd7a3], [0xf900, 0xfaff], [0xfe30, 0xfe6f], [0xff00, 0xff60], [0xffe0, 0xffe6], [0x1f300, 0x1f64f],
  [0x1f900, 0x1f9ff], [0x20000, 0x3fffd],
];
const MARK = /\p{Mn}|\p{Me}|\p{Cf}/u;

export function displayWidth(text: string): number {
  let width = 0;
  for (const char of stripStyle(text)) {
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x300) width += 1;
    else if (!MARK.test(char)) width += WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
  }
  return width;
}

/** The text without the colour codes that style.ts puts in. */
export function stripStyle(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the escape character is what is looked for
  return text.replace(/\u001b\[[0-9;]*m/g, '');
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - displayWidth(text))) + text;
}
