import { describe, expect, it } from 'vitest';
import { Behind } from './behind.ts';
import { GONE_MS, Missing, UNHEARD_MS } from './missing.ts';

describe('WAL that is due', () => {
  let now = 0;
  const due = { timeline: 1, lsn: 100n };

  it('is gone when everybody says so for a while; first a newer backup is tried, then the present', () => {
    now = 0;
    const missing = new Missing(() => now);
    expect(missing.start(['n1'])).toBe('archive');
    missing.lacks('n1', due);
    expect(missing.start(['n1', 'n2'])).toBe('archive');
    missing.lacks('n2', due);
    expect(missing.start(['n1', 'n2'])).toBe('archive');
    now = GONE_MS;
    expect(missing.start(['n1', 'n2'])).toBe('backup');
    expect(missing.start(['n1', 'n2'])).toBe('now');
    expect(missing.found({ timeline: 1, lsn: 300n })).toEqual({ from: due, to: { timeline: 1, lsn: 300n } });
    expect(missing.any).toBe(false);
    expect(missing.start(['n1', 'n2'])).toBe('archive');
  });

  it('is waited for while one who may have it does not answer', () => {
    now = 0;
    const missing = new Missing(() => now);
    missing.lacks('n1', due);
    now = UNHEARD_MS - 1;
    expect(missing.start(['n1', 'n2'])).toBe('archive');
    expect(missing.found({ timeline: 1, lsn: 100n })).toBe(null);
    expect(missing.any).toBe(false);
  });
});

describe('how far an archive is behind', () => {
  it('is since the moment at which the source had no more than is archived', () => {
    let now = 1000;
    const behind = new Behind(() => now);
    expect(behind.currentAt).toBe(null);
    behind.saw(10n, 10n);
    expect(behind.currentAt).toBe(1000);
    now = 2000;
    behind.saw(20n, 10n);
    now = 3000;
    behind.saw(30n, 15n);
    expect(behind.currentAt).toBe(1000);
    now = 4000;
    behind.saw(40n, 25n);
    expect(behind.currentAt).toBe(2000);
    behind.saw(40n, 40n);
    expect(behind.currentAt).toBe(4000);
  });
});
