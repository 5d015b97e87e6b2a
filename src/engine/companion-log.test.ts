import { describe, expect, it } from 'vitest';
import { fatalIn, fatalLine } from './companion-log.ts';

describe('the last line of a logger', () => {
  it('comes back whole, whatever stands around it', () => {
    const older = fatalLine('t', { code: 'internal', message: 'older' });
    const line = fatalLine('t', { code: 'port-in-use', message: 'cannot listen on a fatal {port}', hint: 'take another' });
    expect(fatalIn(`2026 info listening\n${older}${line}2026 info more\n`)).toEqual({ code: 'port-in-use', message: 'cannot listen on a fatal {port}', hint: 'take another' });
  });

  it('is null where the log does not say', () => {
    expect(fatalIn('2026 info listening\n')).toBeNull();
    expect(fatalIn('message":"x"}\nfoo fatal {"code":\n')).toBeNull();
  });
});
