import { PgorbitError } from '../../errors.ts';
import { addMember } from '../../manifest/edit.ts';
import type { Define } from '../command.ts';
import { editManifest } from '../edit.ts';
import { unhealthy } from '../plan/health.ts';
import { chooseGroup, planScale, type ScalePlan } from '../plan/names.ts';
import { withoutMembers } from '../plan/shrink.ts';
import { parseCount } from '../print/units.ts';

/** PostgreSQL lets 16 standbys connect with the settings that pgorbit makes; one is kept for clones and tools. */
const MOST = 15;

export const define: Define = (command, declare) => {
  command
    .argument('[group]', 'the group, where the cluster has several')
    .requiredOption('-r, --replicas <count>', 'how many replicas there shall be beside the primary');
  declare<{ replicas: string }>(command, 'pgorbit scale --replicas 5\npgorbit scale main --replicas 1', async (context, [wantedGroup], options) => {
    const wanted = parseCount(options.replicas, '--replicas', 0, MOST);
    let plan: ScalePlan = { add: [], remove: [] };
    const outcome = await editManifest(context, { command: 'scale' }, ({ text, spec, status }) => {
      const name = chooseGroup(Object.keys(spec.groups), wantedGroup);
      const group = spec.groups[name];
      const now = status.groups.find((one) => one.name === name);
      if (group === undefined || now === undefined) throw new PgorbitError('no-such-group', `group ${name} is not known to the agents yet`, { hint: 'see `pgorbit status`' });
      plan = planScale(spec, group, wanted, { primary: now.primary, unhealthy: unhealthy(now) });
      const grown = plan.add.reduce((edited, one) => addMember(edited, name, { ...one, role: 'replica', port: null, volume: null, path: null, source: null, rate: null }), text);
      return withoutMembers(grown, name, plan.remove, now.primary);
    });
    const { add, remove } = plan;
    const done = add.length > 0 ? `added ${add.map((one) => one.name).join(', ')}` : remove.length > 0 ? `removed ${remove.join(', ')}` : 'nothing had to change';
    context.out.text(`${wanted} ${wanted === 1 ? 'replica' : 'replicas'}: ${done}.\n`);
    context.out.document({ replicas: wanted, added: add.map((one) => one.name), removed: remove, changes: outcome.changes, status: outcome.status });
  });
};
