import { describe, expect, it } from 'vitest';
import { loadManifest } from './load.ts';
import { notesOn } from './notes.ts';

function notes(group: string, hosts = '{ h1: 127.0.0.1, h2: 127.0.0.1, h3: 127.0.0.1 }'): string[] {
  const loaded = loadManifest(`cluster: shop\nhosts: ${hosts}\nvolumes: { main: ./volume, far: ./far }\ngroups:\n  g: ${group}\n`, { file: 'm', baseDir: '/srv' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  return notesOn(loaded.spec);
}
const local = (members: string, commit = 'quorum'): string => `{ storage: local, commit: ${commit}, members: { n1: { host: h1, role: primary }, ${members} } }`;

describe('what is allowed and worth a word', () => {
  it('is nothing for three voters on three hosts, and nothing for the usual shared group', () => {
    expect(notes(local('n2: { host: h2 }, n3: { host: h3, role: logger }, n4: { host: h3, role: standby }'))).toEqual([]);
    expect(notes('{ volume: main, members: { n1: { host: h1, role: primary }, n2: { host: h1 }, n3: { host: h1, role: standby, volume: far } } }')).toEqual([]);
  });

  it('is a quorum of two', () => {
    expect(notes(local('n2: { host: h2 }'))).toEqual([expect.stringMatching(/^group g has two voters, n1 and n2: while either is away no commit is acknowledged/)]);
  });

  it('is a host without which there is no majority', () => {
    expect(notes(local('n2: { host: h2 }, n3: { host: h1, role: logger }'))).toEqual([expect.stringMatching(/^group g: n1 and n3 are 2 of 3 voters on host h1/)]);
    // Two of five may share a host.
    expect(notes(local('n2: { host: h1 }, n3: { host: h2 }, n4: { host: h2 }, n5: { host: h3 }'))).toEqual([]);
  });

  it('is a group in which nobody can take over', () => {
    expect(notes(local('n2: { host: h2, role: logger }, n3: { host: h3, role: logger }'))).toEqual([expect.stringContaining('no replica')]);
  });

  it('is a logger for which no commit waits, and a standby on what it protects', () => {
    expect(notes(local('n2: { host: h2, role: logger }', 'async'))).toEqual([expect.stringMatching(/^n2 is a logger in a group with `commit: async`/)]);
    const standby = (own: string): string => `{ volume: main, members: { n1: { host: h1, role: primary }, n2: { host: h1, role: standby${own} } } }`;
    expect(notes(standby(', volume: main'))).toEqual([expect.stringMatching(/^n2 is a standby on the group's own volume main/)]);
    expect(notes(standby(''))).toEqual([]);
    expect(notes(standby(', path: ./own'))).toEqual([]);
  });
});
