import { expect, it } from 'vitest';
import { decodeToken, drawSecret, encodeToken, hashSecret, type Token } from './token.ts';
import { tokenKey, useToken, withToken, type TokensDocument } from './tokens.ts';

const secret = drawSecret();
const token: Token = {
  kind: 'join', cluster: 'shop', name: 'h2', address: '10.0.0.2', port: null,
  agents: [{ address: '10.0.0.1', port: 7400 }, { address: 'fd00::1', port: 7401 }], ca: 'fingerprint', secret,
};
const invalid = (message: string): object => expect.objectContaining({ code: 'token-invalid', message: expect.stringContaining(message) });

it('is one word that holds everything', () => {
  const text = encodeToken(token);
  expect(text).toMatch(/^pgorbit-join-[\w-]+$/);
  expect(decodeToken(` ${text}\n`, 'join')).toEqual(token);
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
});

it('says what is wrong with a text that is none', () => {
  const text = encodeToken(token);
  expect(() => decodeToken('hello', 'join')).toThrow(invalid('no token'));
  expect(() => decodeToken(text.slice(0, -1), 'join')).toThrow(invalid('not whole'));
  expect(() => decodeToken(text.replace('join', 'login'), 'join')).toThrow(invalid('not whole'));
  expect(() => decodeToken(text, 'login')).toThrow(invalid('pgorbit agent --join'));
});

const HOUR = 3_600_000;
const asked = { kind: 'join', name: 'h2', secret, publicKey: 'mine' } as const;
const given = (): TokensDocument => withToken(null, tokenKey('join', 'h2'), { hash: hashSecret(secret), expires: HOUR, used: null }, 0);

it('is good once, and again only for who had it first', () => {
  const used = useToken(given(), asked, 5);
  expect(used['join/h2']?.used?.at).toBe(5);
  expect(JSON.stringify(used)).not.toContain(secret);
  expect(useToken(used, asked, 6)).toEqual(used);
  expect(() => useToken(used, { ...asked, publicKey: 'another' }, 6)).toThrow(invalid('used already, at 1970-01-01T00:00:00.005Z'));
});

it('is refused when it is wrong, expired, replaced or not known', () => {
  expect(() => useToken(given(), { ...asked, secret: drawSecret() }, 5)).toThrow(invalid('wrong'));
  expect(() => useToken(given(), asked, HOUR)).toThrow(invalid('expired at 1970-01-01T01:00:00.000Z'));
  expect(() => useToken(withToken(given(), 'join/h2', { hash: hashSecret('newer'), expires: HOUR, used: null }, 5), asked, 5)).toThrow(invalid('newer'));
  expect(() => useToken(given(), { ...asked, name: 'constructor' }, 5)).toThrow(invalid('no token was made for host constructor'));
  expect(() => useToken(null, { ...asked, kind: 'login' }, 5)).toThrow(invalid('no such token'));
});

it('is forgotten a week after its time', () => {
  const later = withToken(given(), 'join/h3', { hash: 'x', expires: 9 * 24 * HOUR, used: null }, 8 * 24 * HOUR);
  expect(Object.keys(later)).toEqual(['join/h3']);
});
