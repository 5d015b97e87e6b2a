import { describe, expect, it } from 'vitest';
import { ScramClient, ScramServer, formatVerifier, makeVerifier, parseVerifier } from './scram.ts';

/** One exchange; true when both sides are satisfied. */
function exchange(client: ScramClient, server: ScramServer): boolean {
  const final = server.finish(client.final(server.challenge(client.first())));
  if (final === null) return false;
  client.verify(final);
  return true;
}

describe('SCRAM-SHA-256', () => {
  it('computes the proof and signature of RFC 7677, section 3', () => {
    // The RFC's client names its user, PostgreSQL's does not; the server's half can be held to the example itself.
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    const server = new ScramServer(makeVerifier('pencil', salt), '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0');
    expect(server.challenge('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')).toBe('r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096');
    expect(server.finish('c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=')).toBe('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  });

  it('lets in who knows the password, and nobody else', () => {
    const verifier = parseVerifier(formatVerifier(makeVerifier('pässwörd')));
    expect(exchange(new ScramClient('pässwörd'), new ScramServer(verifier))).toBe(true);
    expect(exchange(new ScramClient('wrong'), new ScramServer(verifier))).toBe(false);
    expect(exchange(new ScramClient('pässwörd'), new ScramServer(null))).toBe(false);
  });

  it('does not trust a server that only echoes', () => {
    const client = new ScramClient('secret');
    const server = new ScramServer(makeVerifier('other'));
    client.final(server.challenge(client.first()));
    expect(() => client.verify('v=AAAA')).toThrow(/could not prove/);
    expect(() => new ScramClient('x').final('r=elsewhere,s=AAAA,i=4096')).toThrow(/invalid SCRAM challenge/);
  });

  it('refuses a changed channel binding or nonce', () => {
    const server = new ScramServer(makeVerifier('secret'));
    const client = new ScramClient('secret');
    const final = client.final(server.challenge(client.first()));
    expect(server.finish(final.replace('c=biws', 'c=eSws'))).toBeNull();
    expect(server.finish(final.replace(/r=./, 'r=!'))).toBeNull();
    expect(() => server.challenge('p=tls-unique,,n=,r=abc')).toThrow(/invalid SCRAM message/);
  });

  it('refuses a malformed verifier', () => {
    expect(() => parseVerifier('md5abc')).toThrow(/not of the form/);
  });
});
