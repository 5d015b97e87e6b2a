import type { Define } from '../command.ts';
import { PgorbitError } from '../../errors.ts';
import { diagnose } from '../diagnose.ts';
import { renderFindings } from '../print/doctor.ts';

export const define: Define = (command, declare) => {
  declare(command, 'pgorbit doctor', async (context) => {
    const findings = await diagnose(context.home, context.env);
    context.out.text(renderFindings(findings, context.style));
    context.out.document({ checks: findings });
    const failed = findings.filter((finding) => finding.state === 'fail');
    if (failed.length > 0) throw new PgorbitError('operation-failed', `${failed.map((finding) => finding.what).join(', ')}: not as pgorbit needs it`, { hint: 'do what stands behind each arrow, then run `pgorbit doctor` again' });
  });
};
