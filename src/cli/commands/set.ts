import { setSetting } from '../../manifest/edit.ts';
import { needsRestart } from '../../manifest/restart.ts';
import type { Define } from '../command.ts';
import { editManifest } from '../edit.ts';
import { chooseGroup } from '../plan/names.ts';
import { parseAssignments } from '../plan/assignments.ts';

export const define: Define = (command, declare) => {
  command
    .argument('<words...>', '[group] name=value …; `name=` goes back to the default')
    .option('--no-restart', 'let members run on where a setting wants a restart; `pgorbit restart` does it later');
  declare<{ restart?: boolean }>(command, "pgorbit set shared_buffers=256MB work_mem=16MB\npgorbit set main log_min_duration_statement=", async (context, operands, options) => {
    const { group: wanted, settings } = parseAssignments(operands.flat() as string[]);
    const outcome = await editManifest(context, { command: 'set', restart: options.restart !== false }, ({ text, spec }) => {
      const name = chooseGroup(Object.keys(spec.groups), wanted);
      const restarts = settings.filter((one) => (spec.groups[name]?.settings[one.name] ?? null) !== one.value && needsRestart(one.name, spec.engine.version)).map((one) => one.name);
      if (restarts.length > 0) {
        const when = options.restart === false ? 'takes effect at the next restart' : 'needs a restart: replicas first, the primary last, one at a time; clients of each are cut off for a moment';
        context.progress.warn(`${restarts.join(', ')} ${when}`);
      }
      return settings.reduce((edited, one) => setSetting(edited, name, one.name, one.value), text);
    });
    context.out.text(outcome.changes.length === 0 ? 'Nothing had to change.\n' : 'Done.\n');
    context.out.document({ settings: Object.fromEntries(settings.map((one) => [one.name, one.value])), changes: outcome.changes, status: outcome.status });
  });
};
