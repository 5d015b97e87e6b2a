/**
 * Splits SQL into statements as psql does (src/fe_utils/psqlscan.l): at semicolons outside of quotes, dollar quotes,
 * comments and parentheses. Pure. A statement keeps its text, without the semicolon; what is blank or comment alone is
 * left out. The body of a `CREATE FUNCTION … BEGIN ATOMIC … END` is kept whole.
 */
const TOKEN = /--[^\n]*|\/\*|'|"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[();]/g;

export function splitStatements(text: string): string[] {
  const statements: string[] = [];
  let from = 0;
  let parentheses = 0;
  let begins = 0;
  let words: string[] = [];
  let content = false;
  let at = 0;
  const cut = (end: number): void => {
    if (content) statements.push(text.slice(from, end).trim());
    content = false;
    words = [];
    parentheses = 0;
    begins = 0;
  };
  for (;;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    const end = match?.index ?? text.length;
    content ||= text.slice(at, end).trim() !== '';
    if (match === null) break;
    const token = match[0];
    at = end + token.length;
    if (token.startsWith('--')) continue;
    if (token === '/*') at = endOfComment(text, at);
    else if (token === ';') {
      if (parentheses > 0 || begins > 0) continue;
      cut(end);
      from = at;
    } else {
      content = true;
      if (token === '(') parentheses += 1;
      else if (token === ')') parentheses = Math.max(0, parentheses - 1);
      else if (token === "'") at = endOfQuote(text, at, "'", /[eE]/.test(text.charAt(end - 1)) && !/\w/.test(text.charAt(end - 2)));
      else if (token === '"') at = endOfQuote(text, at, '"', false);
      else if (token.startsWith('$')) {
        const close = text.indexOf(token, at);
        at = close === -1 ? text.length : close + token.length;
      } else {
        const word = token.toLowerCase();
        // An `e` before a quote is part of the string that follows.
        words.push(word);
        begins = atomicDepth(begins, words);
      }
    }
  }
  cut(text.length);
  return statements;
}

/** psql's rule: inside CREATE [OR REPLACE] FUNCTION or PROCEDURE, BEGIN and CASE open and END closes. */
function atomicDepth(depth: number, words: readonly string[]): number {
  const [first, second, third, fourth] = words;
  if (first !== 'create') return depth;
  const kind = second === 'or' && third === 'replace' ? fourth : second;
  if (kind !== 'function' && kind !== 'procedure') return depth;
  const word = words.at(-1);
  if (word === 'begin') return depth + 1;
  if (word === 'case' && depth > 0) return depth + 1;
  return word === 'end' && depth > 0 ? depth - 1 : depth;
}

function endOfQuote(text: string, from: number, quote: string, backslash: boolean): number {
  for (let at = from; at < text.length; at += 1) {
    if (backslash && text[at] === '\\') at += 1;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

/** Comments nest. */
function endOfComment(text: string, from: number): number {
  let depth = 1;
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return text.length;
}
