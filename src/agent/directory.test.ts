import { expect, it } from 'vitest';
import { Directory, knownAgents } from './directory.ts';

const h1 = { host: 'h1', address: '10.0.0.1', port: 7400 };
const h2 = { host: 'h2', address: '10.0.0.2', port: 7400 };
const h3 = { host: 'h3', address: '10.0.0.3', port: 7400 };

it('takes the hints while there is nothing else', () => {
  expect(knownAgents([h1, h2], null, null)).toEqual([h1, h2]);
});

it('learns who joined and who moved, and forgets who left', () => {
  const document = { h1: { address: '10.0.0.1', port: 7400 }, h2: { address: '10.9.9.9', port: 7401 }, h3: { address: '10.0.0.3', port: 7400 } };
  expect(knownAgents([h1, h2], document, ['h1', 'h2', 'h3'])).toEqual([h1, { host: 'h2', address: '10.9.9.9', port: 7401 }, h3]);
  // A founder that has not been here yet is known by the hint alone.
  expect(knownAgents([h1, h2, h3], { h1: { address: '10.0.0.1', port: 7400 } }, ['h1', 'h2'])).toEqual([h1, h2]);
});

it('has a client for each, and another one where the address changes', () => {
  const told: string[][] = [];
  const directory = new Directory([h1, h2], { ca: '', cert: '', key: '' }, (agents) => told.push(agents.map((agent) => `${agent.host}@${agent.address}`)));
  const before = directory.clientOf('h2');
  expect(directory.clientOf('h2')).toBe(before);
  expect(() => directory.clientOf('h3')).toThrow(expect.objectContaining({ code: 'no-such-host' }));
  directory.update({ h1: h1, h2: { address: '10.9.9.9', port: 7400 } }, ['h1', 'h2'], h1);
  directory.update({ h1: h1, h2: { address: '10.9.9.9', port: 7400 } }, ['h1', 'h2'], h1);
  expect(told).toEqual([['h1@10.0.0.1', 'h2@10.9.9.9']]);
  expect(directory.clientOf('h2').target.address).toBe('10.9.9.9');
  directory.close();
});
