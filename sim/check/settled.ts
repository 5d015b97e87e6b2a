/** Liveness: what is not yet as it should be, once nothing goes wrong any more. */
import { ASIDE } from '../world/disks.ts';
import { ModelLogger } from '../model/logger.ts';
import type { World } from '../world/world.ts';

/** @returns the first thing that is not settled, in words, or null. */
export function unsettled(world: World): string | null {
  const { record, spec } = world.store.documents;
  if (record === null) return 'there is no record';
  const { primary, promotion, operation, members, term, voters, voterChange } = record.value;
  if (operation !== null) return `${operation.kind} ${operation.id} is under way`;
  if (promotion !== null) return `${promotion.candidate} is being promoted (${promotion.phase})`;
  if (primary === null) return 'there is no primary';
  const wanted = new Set([...Object.keys(spec.value.members), primary]);
  for (const name of Object.keys(members)) if (!wanted.has(name)) return `${name} is still there`;
  for (const name of wanted) {
    const reason = memberUnsettled(world, name, name === primary, term);
    if (reason !== null) return `${name} ${reason}`;
  }
  for (const [name, { marker }] of world.disks.folders) if (!wanted.has(name) && marker.incarnation > 0) return `${name.includes(ASIDE) ? 'what was set aside' : 'a folder'} is still there: ${name}`;
  if (voterChange !== null) return `the voters change to ${voterChange.to.join()}`;
  const electorate = spec.value.commit === 'quorum' ? Object.values(spec.value.members).filter(({ role }) => role !== 'standby').map(({ name }) => name).sort().join() : '';
  // A primary that the manifest no longer names votes as long as it is the primary.
  const present = voters.filter((name) => name !== primary || spec.value.members[name] !== undefined).sort().join();
  return present === electorate ? null : `${voters.join() || 'nobody'} votes`;
}

function memberUnsettled(world: World, name: string, primary: boolean, term: number): string | null {
  const member = world.store.documents.record?.value.members[name];
  if (member === undefined) return 'is not in the record';
  const report = world.agents.get(member.host)?.runners.get(name)?.report();
  const server = world.disks.serverIn(world.disks.folders.get(name));
  if (!report || server === undefined) return `does not run (goal ${member.goal.kind}, ${report?.error?.message ?? report?.state ?? 'no report'})`;
  if (server instanceof ModelLogger !== (member.role === 'logger')) return `is a ${member.role} and does not run as one`;
  if (!report.ready || report.incarnation !== member.incarnation || report.restarts < member.restarts) return `is ${report.state} (incarnation ${report.incarnation} of ${member.incarnation}, restarts ${report.restarts} of ${member.restarts})`;
  if (report.reached !== member.goal.kind) return `has not reached its goal ${member.goal.kind}: ${report.error?.message ?? report.state}`;
  if (server.inRecovery === primary) return primary ? 'is the primary, and in recovery' : 'accepts writes';
  if (!primary && server.receiver?.stream == null) return 'does not stream';
  if (report.term !== term) return `has data of term ${report.term}, not ${term}`;
  if (!member.joined) return 'has not joined';
  // A logger's followers make theirs themselves.
  if (member.role === 'logger') return null;
  const slots = 'slots' in member.goal ? (member.goal.slots ?? []) : [];
  const unwanted = [...server.data.slots].filter((slot) => !slots.includes(slot));
  return unwanted.length > 0 ? `has unwanted slots: ${unwanted.join(', ')}` : null;
}
