/** Environment variables of libpq (PostgreSQL's documentation, "Environment Variables"). Pure. */
import type { Account } from '../../group/model.ts';
import type { Place } from './uri.ts';

/**
 * `env` with what libpq needs to reach the members, the primary first; of several it takes the one that accepts
 * writes. The password stays out of the command line, which every user of the machine may read. Variables of the
 * caller's that would lead elsewhere are dropped; PGDATABASE stays.
 */
export function libpqEnvironment(members: readonly Place[], account: Account, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => !/^PG(HOST|HOSTADDR|PORT|USER|PASSWORD|PASSFILE|SERVICE|SERVICEFILE|TARGETSESSIONATTRS)$/.test(name)));
  const ordered = members.filter((member) => member.role !== 'logger').sort((a, b) => Number(b.role === 'primary') - Number(a.role === 'primary'));
  return {
    ...kept,
    PGHOST: ordered.map((member) => member.address).join(','),
    PGPORT: ordered.map((member) => String(member.port)).join(','),
    PGUSER: account.user,
    PGPASSWORD: account.password,
    PGDATABASE: env['PGDATABASE'] || 'postgres',
    ...(ordered.length > 1 ? { PGTARGETSESSIONATTRS: 'read-write' } : {}),
  };
}
