import { describe, expect, it } from 'vitest';
import { GROUP } from '../../manifest/defaults.ts';
import { parseVerifier } from '../../wire/scram.ts';
import { memberRecord } from '../testing/build.ts';
import { compareSettings, loggerFile, tunablesOf, verifierOf } from './settings.ts';

const users = verifierOf({ user: 'replicator', password: 'secret' }, 'shop/main/l1');
const paths = { dir: '/d', control: '/c' };
const file = loggerFile(paths, memberRecord('l1', { port: 6000 }), GROUP.logger, users);

describe('a logger\'s configuration', () => {
  it('takes over what the manifest says', () => {
    expect(file).toMatchObject({
      dir: '/d', control: '/c', host: '127.0.0.1', port: 6000, timeoutMs: GROUP.logger.sendTimeoutMs, packetBytes: GROUP.logger.packetBytes,
      purge: { enabled: true, everyMs: GROUP.logger.purgeEveryMs, keepBytes: GROUP.logger.keepBytes, keepMs: GROUP.logger.keepMs, maxBytes: GROUP.logger.maxBytes },
    });
    expect(tunablesOf({ ...GROUP.logger, sendTimeoutMs: 1000 }).keepaliveMs).toBe(250);
  });

  it('holds no password, and the same verifier every time', () => {
    expect(JSON.stringify(file)).not.toContain('secret');
    expect(parseVerifier(users['replicator']!).salt).toHaveLength(16);
    expect(verifierOf({ user: 'replicator', password: 'secret' }, 'shop/main/l1')).toEqual(users);
    expect(verifierOf({ user: 'replicator', password: 'secret' }, 'shop/main/l2')).not.toEqual(users);
  });

  it('knows which changes need a restart', () => {
    expect(compareSettings(file, { ...file, dir: '/elsewhere' })).toBe('same');
    expect(compareSettings(file, loggerFile(paths, memberRecord('l1', { port: 6000 }), { ...GROUP.logger, keepBytes: 1 }, users))).toBe('tune');
    expect(compareSettings(file, { ...file, packetBytes: 8192 })).toBe('tune');
    expect(compareSettings(file, { ...file, port: 6001 })).toBe('restart');
    expect(compareSettings(file, { ...file, users: verifierOf({ user: 'replicator', password: 'other' }, 'shop/main/l1') })).toBe('restart');
  });
});
