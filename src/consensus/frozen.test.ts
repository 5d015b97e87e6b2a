/** The real clock, the real disk, three processes: the leader is stopped by SIGSTOP again and again, and woken. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

interface Stretch {
  host: string;
  from: number;
  to: number;
  term: number;
}

const HOSTS = ['a', 'b', 'c'];
const children = new Map<string, ChildProcess>();
let dir: string;

afterEach(async () => {
  const gone = [...children.values()].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of children.values()) child.kill('SIGKILL');
  await Promise.all(gone);
  children.clear();
  rmSync(dir, { recursive: true, force: true });
});

describe('agents that are frozen', () => {
  it('never lead beside their successor, measured on one clock', async () => {
    dir = mkdtempSync(join(tmpdir(), 'pgorbit-frozen-'));
    const stretches: Stretch[] = [];
    let leads: (host: string) => void = () => {};
    const nextLeader = (): Promise<string> => new Promise((resolve) => {
      leads = resolve;
    });
    let next = nextLeader();
    for (const host of HOSTS) {
      const child = fork(fileURLToPath(new URL('testing/child.ts', import.meta.url)), [host, join(dir, host), HOSTS.join(',')], { execArgv: ['--import', 'tsx'] });
      child.on('message', (message: { to?: string; message?: unknown; led?: Omit<Stretch, 'host'>; leads?: number }) => {
        if (message.to !== undefined) children.get(message.to)?.send({ from: host, message: message.message });
        if (message.led !== undefined) stretches.push({ host, ...message.led });
        if (message.leads !== undefined) leads(host);
      });
      children.set(host, child);
    }
    let frozen: string | null = null;
    for (let round = 0; round < 4; round += 1) {
      const leader = await next;
      next = nextLeader();
      if (frozen !== null) children.get(frozen)!.kill('SIGCONT');
      frozen = leader;
      children.get(leader)!.kill('SIGSTOP');
    }
    await next;
    children.get(frozen!)!.kill('SIGCONT');
    while (stretches.length < 4) await new Promise((resolve) => setTimeout(resolve, 20));
    stretches.sort((one, other) => one.from - other.from);
    const overlaps = stretches.filter((stretch, at) => stretches.slice(0, at).some((earlier) => earlier.to >= stretch.from));
    expect(overlaps).toEqual([]);
    expect(new Set(stretches.map(({ host }) => host)).size).toBeGreaterThan(1);
  }, 120_000);
});
