import { describe, expect, it } from 'vitest';
import { Output, renderError } from './output.ts';
import { PLAIN } from './print/style.ts';
import { stripStyle } from './print/width.ts';
import { Progress } from './progress.ts';

function recorder(isTTY: boolean): { text: () => string; sink: { isTTY: boolean; columns: number; write: (text: string) => void } } {
  let all = '';
  return { text: () => all, sink: { isTTY, columns: 60, write: (text) => void (all += text) } };
}

describe('Progress', () => {
  it('writes a line when a step begins, where nobody watches', () => {
    let now = 0;
    const { text, sink } = recorder(false);
    const progress = new Progress({ sink, now: () => now });
    progress.step('check');
    now = 1500;
    progress.note('found it');
    progress.done('all well');
    progress.step('apply');
    progress.done();
    expect(text()).toBe('[  0.0 s] check\n[  1.5 s] found it\n[  1.5 s]   all well\n[  1.5 s] apply\n');
  });

  it('moves one line on a terminal, and leaves what was done', () => {
    let now = 0;
    let draw = (): void => undefined;
    let stopped = 0;
    const { text, sink } = recorder(true);
    const progress = new Progress({ sink, now: () => now, tick: (callback) => ((draw = callback), () => void (stopped += 1)) });
    progress.step('wait');
    progress.detail('n2 is attaching');
    now = 2000;
    draw();
    expect(text()).toContain('wait: n2 is attaching');
    progress.warn('careful');
    progress.done();
    const shown = stripStyle(text()).split('\n');
    expect(shown.at(-2)).toContain('✓ wait (2.0 s)');
    expect(shown.some((line) => line.endsWith('warning: careful'))).toBe(true);
    expect(stopped).toBe(1);
  });

  it('says nothing but warnings when it is to be quiet', () => {
    const { text, sink } = recorder(false);
    const progress = new Progress({ sink, now: () => 0, quiet: true });
    progress.step('check');
    progress.note('found');
    progress.warn('careful');
    progress.done();
    expect(text()).toBe('warning: careful\n');
  });
});

describe('Output', () => {
  it('is one document with --json, and text without', () => {
    const json = recorder(false);
    const out = new Output(json.sink, true);
    out.text('for people');
    out.document({ a: 1 });
    out.failure({ code: 'usage', message: 'late' });
    expect(JSON.parse(json.text())).toEqual({ a: 1 });
    expect(() => out.document({})).toThrow('second');
    const plain = recorder(false);
    const human = new Output(plain.sink, false);
    human.document({ a: 1 });
    human.text('for people');
    expect(plain.text()).toBe('for people');
  });

  it('is the error where that came first', () => {
    const { text, sink } = recorder(false);
    new Output(sink, true).failure({ code: 'locked', message: 'busy', hint: 'wait' });
    expect(JSON.parse(text())).toEqual({ error: { code: 'locked', message: 'busy', hint: 'wait' } });
  });
});

describe('renderError', () => {
  it('puts what to do below what is wrong', () => {
    expect(renderError({ code: 'usage', message: 'a\nb', hint: 'c\nd' }, PLAIN)).toBe('error: a\nb\nhint: c\n      d\n');
    expect(renderError({ code: 'internal', message: 'a' }, PLAIN)).toContain('PGORBIT_DEBUG');
  });
});
