/** What is kept of a round that failed: its notes, what clients were told, the cluster's events and logs. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../test/support/program.ts';
import type { ChaosCluster } from './cluster.ts';
import type { Evidence, RoundResult } from './round.ts';

/**
 * @param homes of the hosts, by name. @param cluster null where it did not come up.
 * @returns the folder. It is not one that a later run sweeps away.
 */
export async function keepEvidence(homes: Record<string, string>, cluster: ChaosCluster | null, result: RoundResult, notes: readonly string[], evidence: Evidence): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `pgorbit-chaos-${result.seed}-`));
  await writeFile(join(folder, 'timeline.txt'), `${[...result.failures, '', ...notes].join('\n')}\n`);
  await writeFile(join(folder, 'result.json'), JSON.stringify(result, null, 2));
  await writeFile(join(folder, 'clients.json'), JSON.stringify(evidence.stories));
  if (cluster !== null) {
    await writeFile(join(folder, 'status.json'), JSON.stringify(await cluster.status().catch(() => evidence.status), null, 2));
    await writeFile(join(folder, 'events.json'), (await cluster.cli('events', '--json')).stdout);
  }
  for (const [name, cwd] of Object.entries(homes)) {
    const target = join(folder, name);
    await mkdir(target);
    await runProgram('sh', ['-c', 'find . \\( -name "*.log*" -o -name "events.jsonl*" \\) -type f -not -path "./engines/*" -exec cp --parents {} "$0" \\;', target], { cwd });
    await runProgram('sh', ['-c', 'for d in $(find . -name pg_wal -maxdepth 9); do echo "== $d"; ls -l "$d"; done > "$0"/wal.txt', target], { cwd });
  }
  return folder;
}
