/** Standard output: text for a person, or with `--json` exactly one document and nothing else. */
import type { ErrorReport } from '../errors.ts';
import type { Style } from './print/style.ts';
import type { Sink } from './progress.ts';

export class Output {
  readonly json: boolean;
  readonly #sink: Sink;
  #written = false;

  constructor(sink: Sink, json: boolean) {
    this.#sink = sink;
    this.json = json;
  }

  /** Is a person looking at it as it comes? */
  get isTerminal(): boolean {
    return this.#sink.isTTY === true && !this.json;
  }

  /** Text that only a person reads: left out with `--json`. */
  text(text: string): void {
    if (!this.json) this.#sink.write(text);
  }

  /** The one document of a command; the second of a run is a defect. */
  document(value: unknown): void {
    if (!this.json) return;
    if (this.#written) throw new Error('a second JSON document was about to be written');
    this.#written = true;
    this.#sink.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** A failed command's document, unless it has written one before it failed. */
  failure(error: ErrorReport): void {
    if (this.json && !this.#written) this.document({ error });
  }
}

/** An error as a person reads it: what is wrong, then what to do about it. */
export function renderError(error: ErrorReport, style: Style): string {
  const [first, ...rest] = error.message.trimEnd().split('\n');
  const lines = [`${style.red('error:')} ${first}`, ...rest];
  const hint = error.hint === undefined ? [] : error.hint.trimEnd().split('\n').map((line, i) => `${i === 0 ? style.bold('hint: ') : '      '}${line}`);
  const unforeseen = error.code === 'internal' ? [`${style.bold('hint: ')}this is a defect of pgorbit; set PGORBIT_DEBUG=1 to see where, and report it`] : [];
  return `${[...lines, ...(hint.length > 0 ? hint : unforeseen)].join('\n')}\n`;
}
