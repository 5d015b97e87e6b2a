/** What pgorbit.conf and pg_hba.conf of a member say, by its orders. Pure. */
import type { ControlData } from '../../engine/control.ts';
import { renderHba } from '../../engine/hba.ts';
import { slotName } from '../decide/goals.ts';
import type { Goal } from '../model.ts';
import { configurationOf } from './configuration.ts';
import type { Member } from './member.ts';
import { restoreCommand } from './restore.ts';

/** @param home the member's home folder as PostgreSQL's user reaches it. @param limits a standby's; null: of a primary */
export function ownSettings({ environment, place, orders }: Member, goal: Goal, home: string, limits: ControlData['limits'] | null): string {
  return configurationOf({
    major: orders.engine.major,
    member: place.member,
    driver: environment.volume.driver,
    settings: orders.spec.settings,
    goal,
    replication: environment.secrets.replication,
    restoreCommand: restoreCommand(home),
    quorum: orders.spec.commit === 'quorum',
    electable: Object.values(orders.spec.members).filter(({ role }) => role === 'primary' || role === 'replica').map(({ name }) => slotName(name)),
    limits,
  });
}

export const ownHba = ({ environment, orders }: Member): string =>
  renderHba({ replicationUser: environment.secrets.replication.user, memberAddresses: orders.addresses, clients: ['all'] });
