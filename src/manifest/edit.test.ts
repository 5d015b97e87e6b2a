import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterSpec, Role } from '../group/model.ts';
import { PgorbitError } from '../errors.ts';
import { demoManifest } from './demo.ts';
import { addHost, addMember, removeHost, removeMember, setRole, setSetting } from './edit.ts';
import { loadManifest } from './load.ts';

/** What a text describes, whatever the engine says of its settings. */
function specOf(text: string): ClusterSpec {
  const loaded = loadManifest(text, { file: 'm', baseDir: '/', checkSetting: () => ({ ok: true }) });
  if (!loaded.ok) throw new Error(`${loaded.errors.map((e) => `${e.line}: ${e.message}`).join('\n')}\n${text}`);
  return loaded.spec;
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof PgorbitError) return error.code;
    throw error;
  }
  return 'none';
};

const demo = demoManifest({ volumePath: './volume' });

describe('edits of the demo', () => {
  it('add a line for a member and change nothing else', () => {
    const text = addMember(demo, 'main', { name: 'n4', host: 'h2', role: 'replica', port: null, volume: null, path: null, source: null, rate: null });
    expect(text).toBe(`${demo}      n4: { host: h2, role: replica }\n`);
    expect(removeMember(text, 'main', 'n4')).toBe(demo);
  });

  it('write a port that was asked for', () => {
    expect(addMember(demo, 'main', { name: 'n4', host: 'h2', role: 'replica', port: 5433, volume: null, path: null, source: null, rate: null })).toContain('      n4: { host: h2, role: replica, port: 5433 }\n');
  });

  it("write a member's own storage", () => {
    const own = { host: 'h2', role: 'standby', port: null, source: null, rate: null } as const;
    expect(addMember(demo, 'main', { ...own, name: 'n4', volume: null, path: null, source: 'n2', rate: 50 * 1024 ** 2 })).toContain('      n4: { host: h2, role: standby, source: n2, rate: 50MB }\n');
    expect(addMember(demo, 'main', { ...own, name: 'n4', volume: 'far', path: null })).toContain('      n4: { host: h2, role: standby, volume: far }\n');
    expect(addMember(demo, 'main', { ...own, name: 'n4', volume: null, path: '/srv/a, b: #c' })).toContain('      n4: { host: h2, role: standby, path: "/srv/a, b: #c" }\n');
  });

  it('replace a role and a setting in place', () => {
    expect(setRole(demo, 'main', 'n2', 'standby')).toBe(demo.replace('n2: { host: h2, role: replica }', 'n2: { host: h2, role: standby }'));
    expect(setSetting(demo, 'main', 'Shared_Buffers', '1GB')).toBe(demo.replace('128MB', '1GB'));
    expect(setSetting(demo, 'main', 'work_mem', '8MB')).toBe(demo.replace('128MB\n', '128MB\n      work_mem: 8MB\n'));
    expect(setSetting(demo, 'main', 'shared_buffers', null)).toBe(demo.replace('shared_buffers: 128MB', '{}'));
    expect(setSetting(demo, 'main', 'work_mem', null)).toBe(demo);
  });

  it('refuse what is not there, and a name that is taken', () => {
    expect(codeOf(() => setRole(demo, 'other', 'n1', 'replica'))).toBe('no-such-group');
    expect(codeOf(() => removeMember(demo, 'main', 'n9'))).toBe('no-such-member');
    expect(codeOf(() => removeMember(demo, 'main', 'constructor'))).toBe('no-such-member');
    expect(codeOf(() => addMember(demo, 'main', { name: 'n1', host: 'h1', role: 'replica', port: null, volume: null, path: null, source: null, rate: null }))).toBe('usage');
    expect(codeOf(() => setRole('a: [', 'main', 'n1', 'replica'))).toBe('manifest-invalid');
  });

  it('refuse rather than change what an alias repeats', () => {
    const text = 'groups:\n  a: { settings: &s { x: 1 }, members: { a1: primary } }\n  b: { settings: *s, members: { b1: primary } }\n';
    expect(codeOf(() => setSetting(text, 'a', 'x', '2'))).toBe('manifest-invalid');
    expect(codeOf(() => setSetting(text, 'b', 'x', '2'))).toBe('manifest-invalid');
    expect(codeOf(() => setSetting('groups:\n  a: &g { settings: {}, members: { a1: rw } }\n  b: *g\n', 'a', 'x', '2'))).toBe('manifest-invalid');
  });
});

// ---------------------------------------------------------------- any layout

const RUNS = 100;

interface Layout {
  flowGroup: boolean;
  members: ('short' | 'flow' | 'block' | 'quoted' | 'bare')[];
  flowMembers: boolean;
  settings: 'none' | 'empty' | 'null' | 'block' | 'flow';
  comments: boolean;
  eol: string;
  indent: number;
  lastNewline: boolean;
  settingsLast: boolean;
}

const layouts: fc.Arbitrary<Layout> = fc.record({
  flowGroup: fc.boolean(),
  members: fc.array(fc.constantFrom('short', 'flow', 'block', 'quoted', 'bare'), { minLength: 1, maxLength: 4 }),
  flowMembers: fc.boolean(),
  settings: fc.constantFrom('none', 'empty', 'null', 'block', 'flow'),
  comments: fc.boolean(),
  eol: fc.constantFrom('\n', '\r\n'),
  indent: fc.constantFrom(1, 2, 3, 4),
  lastNewline: fc.boolean(),
  settingsLast: fc.boolean(),
});

const role = (i: number): string => (i === 0 ? 'primary' : 'replica');

const flowMember = (style: string, i: number): string =>
  style === 'short' ? role(i) : style === 'bare' ? (i === 0 ? 'rw' : '{}') : style === 'quoted' ? `{ "role": '${role(i)}', host: h1, }` : `{ host: h1, role: ${role(i)} }`;

/** A manifest in a layout: member n1 is the primary, the others are replicas; `settings`, where there, has a and b. */
function write(l: Layout): string {
  const lines: string[] = [];
  const put = (depth: number, line: string): void => {
    if (l.comments) lines.push(`${' '.repeat(depth * l.indent)}# before ${lines.length}`, '');
    lines.push(`${' '.repeat(depth * l.indent)}${line}${l.comments ? ` # beside ${lines.length}` : ''}`);
  };
  put(0, 'cluster: shop');
  put(0, 'hosts: { h1: 127.0.0.1 }');
  put(0, 'volumes: { main: ./v }');
  put(0, 'groups:');
  if (l.flowGroup) {
    const settings = { none: '', empty: ', settings: {}', null: '', block: ', settings: { a: 1, b: "x, y" }', flow: ', settings: {a: 1,b: x}' }[l.settings];
    put(1, `main: { volume: main, members: { ${l.members.map((s, i) => `n${i + 1}: ${flowMember(s, i)}`).join(', ')} }${settings} }`);
  } else {
    put(1, 'main:');
    put(2, 'volume: main');
    const settings = (): void => {
      if (l.settings === 'empty') put(2, 'settings: {}');
      if (l.settings === 'null') put(2, 'settings:');
      if (l.settings === 'flow') put(2, 'settings: { a: 1, b: off }');
      if (l.settings !== 'block') return;
      put(2, 'settings:');
      put(3, 'a: "1 # no comment"');
      put(3, 'b: 0640');
    };
    if (!l.settingsLast) settings();
    if (l.flowMembers) put(2, `members: { ${l.members.map((s, i) => `n${i + 1}: ${flowMember(s, i)}`).join(', ')}, }`);
    else {
      put(2, 'members:');
      l.members.forEach((style, i) => {
        if (style !== 'block') return put(3, `n${i + 1}: ${flowMember(style, i)}`);
        put(3, `n${i + 1}:`);
        if (i === 0) put(4, 'role: primary');
        put(4, 'host: h1');
        return undefined;
      });
    }
    if (l.settingsLast) settings();
  }
  return lines.join(l.eol) + (l.lastNewline ? l.eol : '');
}

/** Lines of `before` that are no longer in `after`, where the lines of both are in one order. */
function lost(before: string, after: string): string[] {
  const rest = after.split(/\r?\n/);
  return before.split(/\r?\n/).filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(0, at + 1);
    return at < 0;
  });
}

const comments = (text: string): string[] => text.split(/\r?\n/).filter((line) => line.trim().startsWith('#'));

describe('edits of any layout', () => {
  const values = fc.oneof(
    fc.constantFrom('1GB', 'on', 'true', 'null', '~', '0640', '0o17', '1e3', '', ' ', 'a, b', '{x}', '"q"', "it's", '# no', 'a: b', '- a', '%m [%p] ', '*', '&a', '!t', '---', '中文', '\\', '.5', '-1', '0x1F', 'yes '),
    fc.string({ maxLength: 12 }).filter((s) => !/\p{Cc}/u.test(s)),
  );

  it('a setting set or taken away is the only difference', () => {
    fc.assert(fc.property(layouts, fc.constantFrom('a', 'b', 'B', 'work_mem'), fc.option(values), (layout, name, value) => {
      const text = write(layout);
      const expected = specOf(text);
      if (value === null) delete expected.groups['main']!.settings[name.toLowerCase()];
      else expected.groups['main']!.settings[name.toLowerCase()] = value;
      const edited = setSetting(text, 'main', name, value);
      expect(specOf(edited)).toEqual(expected);
      expect(lost(text, edited).length).toBeLessThanOrEqual(1);
      expect(comments(edited)).toEqual(comments(text));
    }), { numRuns: RUNS });
  });

  it('a member added is the only difference, and taken away again leaves the text as it was', () => {
    fc.assert(fc.property(layouts, fc.constantFrom<Role>('replica', 'standby', 'logger'), fc.option(fc.integer({ min: 1024, max: 65535 })), (layout, wanted, port) => {
      const text = write(layout);
      const expected = specOf(text);
      const member = { name: 'new-1', host: 'h1', role: wanted, port, volume: null, path: null, source: null, rate: null };
      expected.groups['main']!.members['new-1'] = member;
      const edited = addMember(text, 'main', member);
      expect(specOf(edited)).toEqual(expected);
      expect(lost(text, edited).length).toBeLessThanOrEqual(layout.flowGroup || layout.flowMembers ? 1 : 0);
      const back = removeMember(edited, 'main', 'new-1');
      // A last line that did not end gets an end with the line after it.
      expect(back.trimEnd()).toBe(text.trimEnd());
      expect(specOf(back)).toEqual(specOf(text));
    }), { numRuns: RUNS });
  });

  it('a member removed is the only difference', () => {
    fc.assert(fc.property(layouts.filter((l) => l.members.length > 1), fc.nat(), (layout, pick) => {
      const text = write(layout);
      const name = `n${2 + (pick % (layout.members.length - 1))}`;
      const expected = specOf(text);
      delete expected.groups['main']!.members[name];
      expect(specOf(removeMember(text, 'main', name))).toEqual(expected);
    }), { numRuns: RUNS });
  });

  it('a role set is the only difference', () => {
    fc.assert(fc.property(layouts.filter((l) => l.members.length > 1), fc.nat(), fc.constantFrom<Role>('replica', 'standby', 'logger'), (layout, pick, wanted) => {
      const text = write(layout);
      const name = `n${2 + (pick % (layout.members.length - 1))}`;
      const expected = specOf(text);
      expected.groups['main']!.members[name]!.role = wanted;
      const edited = setRole(text, 'main', name, wanted);
      expect(specOf(edited)).toEqual(expected);
      expect(lost(text, edited).length).toBeLessThanOrEqual(1);
    }), { numRuns: RUNS });
  });
});

describe('edits of hosts', () => {
  const text = 'cluster: c # mine\nhosts:\n  # in the cellar\n  h1: 10.0.0.1\n\ngroups: {}\n';

  it('add a line, and take it away again', () => {
    const more = addHost(text, { name: 'h2', address: 'fd00::2', port: null });
    expect(more).toBe(text.replace('h1: 10.0.0.1\n', 'h1: 10.0.0.1\n  h2: "fd00::2"\n'));
    expect(removeHost(more, 'h2')).toBe(text);
    expect(addHost('hosts: { h1: 10.0.0.1 }\n', { name: 'h2', address: 'db2.example.org', port: 7401 })).toBe('hosts: { h1: 10.0.0.1, h2: { address: db2.example.org, port: 7401 } }\n');
  });

  it('refuse a name that is taken, and one that is not there', () => {
    expect(codeOf(() => addHost(text, { name: 'h1', address: '10.0.0.2', port: null }))).toBe('usage');
    expect(codeOf(() => removeHost(text, 'h2'))).toBe('no-such-host');
    expect(codeOf(() => addHost('groups: {}\n', { name: 'h1', address: '10.0.0.2', port: null }))).toBe('manifest-invalid');
  });
});
