import { describe, expect, it } from 'vitest';
import { walChain } from './chain.ts';

const MB = 1 << 20;
const seg = (timeline: number, number: number): string => `${String(timeline).padStart(8, '0')}00000000${number.toString(16).toUpperCase().padStart(8, '0')}`;
/** A backup of timeline 1 in segments 2 and 3 of 1 MB each. */
const backup = { timeline: 1, startLsn: '0/200028', stopLsn: '0/300100', segmentSize: MB };
const own = [seg(1, 2), seg(1, 3)];
const chain = (archived: string[], histories: [number, string][] = [], more: Partial<Parameters<typeof walChain>[0]> = {}): ReturnType<typeof walChain> =>
  walChain({ backup, own, archived, histories: new Map(histories), ...more });
const names = (found: ReturnType<typeof walChain>): string[] => found.segments.map((one) => `${one.name}${one.partial ? ' partial' : ''}${one.archived ? '' : ' own'}`);

describe('walChain', () => {
  it('is what the backup has itself where nothing is archived', () => {
    const found = chain([]);
    expect(names(found)).toEqual([`${seg(1, 2)} own`, `${seg(1, 3)} own`]);
    expect(found).toMatchObject({ missing: [], end: 0x400000n });
  });

  it('goes on with the archive, to the part of the newest segment', () => {
    const found = chain([seg(1, 1), seg(1, 2), seg(1, 3), seg(1, 4), `${seg(1, 5)}.partial`]);
    expect(names(found)).toEqual([seg(1, 2), seg(1, 3), seg(1, 4), `${seg(1, 5)} partial`]);
    expect(found).toMatchObject({ missing: [], end: 0x600000n });
  });

  it('names what is missing between, and ends there', () => {
    const found = chain([seg(1, 5), seg(1, 7)]);
    expect(found.missing).toEqual([seg(1, 4), seg(1, 6)]);
    expect(found.end).toBe(0x400000n);
  });

  it('names what the backup itself lacks', () => {
    expect(chain([seg(1, 3)], [], { own: [seg(1, 3)] }).missing).toEqual([seg(1, 2)]);
    expect(chain([], [], { own: [seg(1, 2)] }).missing).toEqual([seg(1, 3)]);
  });

  it('takes a part of a segment that others follow for a gap', () => {
    const found = chain([`${seg(1, 4)}.partial`, seg(1, 5)]);
    expect(found).toMatchObject({ missing: [seg(1, 4)], end: 0x400000n });
  });

  it('follows the newest timeline that the backup lies on, and no other', () => {
    const two: [number, string] = [2, '1\t0/480000\tno recovery target specified\n'];
    // Timeline 3 left timeline 1 before the backup ended: it is somebody else's past.
    const three: [number, string] = [3, '1\t0/280000\tno recovery target specified\n'];
    const found = chain([seg(1, 4), `${seg(1, 4)}.partial`, seg(1, 5), seg(2, 4), seg(2, 5), seg(3, 2), seg(3, 9)], [two, three]);
    expect(found.history.timeline).toBe(2);
    expect(names(found)).toEqual([`${seg(1, 2)} own`, `${seg(1, 3)} own`, seg(2, 4), seg(2, 5)]);
    expect(found.missing).toEqual([]);
  });

  it('needs the segment of the new timeline in which that began', () => {
    const found = chain([seg(1, 4), seg(2, 5)], [[2, '1\t0/480000\tno recovery target specified\n']]);
    expect(found).toMatchObject({ missing: [seg(2, 4)], end: 0x400000n });
  });

  it('refuses a backup of a later timeline whose history is gone', () => {
    expect(() => walChain({ backup: { ...backup, timeline: 2 }, own, archived: [], histories: new Map() })).toThrow(expect.objectContaining({ code: 'backup-damaged' }));
  });
});
