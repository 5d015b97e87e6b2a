/** Identities for tests: one cluster's authority, made once a test file. */
import { type Authority, createAuthority, type Identity, issueAdmin, issueHost } from '../identity/ca.ts';

export interface TestCluster {
  authority: Authority;
  admin: Identity;
  host(name: string, address?: string): Promise<Identity>;
}

export async function testCluster(id: string): Promise<TestCluster> {
  const authority = await createAuthority(id);
  return {
    authority,
    admin: await issueAdmin(authority),
    host: (name, address = '127.0.0.1') => issueHost(authority, { host: name, address }),
  };
}
