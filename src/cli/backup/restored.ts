/** The manifest of a restored cluster. Pure. */
import type { BackupInfo } from '../../backup/info.ts';

export interface RestoredManifest {
  cluster: string;
  info: BackupInfo;
  /** In words. */
  target: string;
  port: number | null;
}

/** One member on this machine, on storage of its own, with the settings that the group had. */
export function restoredManifest({ cluster, info, target, port }: RestoredManifest): string {
  const settings = Object.entries(info.settings).map(([name, value]) => `      ${JSON.stringify(name)}: ${JSON.stringify(value)}\n`);
  const member = ['host: h1', 'role: primary', ...(port === null ? [] : [`port: ${port}`])];
  return `# Made by \`pgorbit restore\` of ${info.label}, a backup of group ${info.group} in cluster ${info.cluster}, as of ${target.replaceAll(/\s+/g, ' ')}.
cluster: ${cluster}
engine: { kind: postgres, version: ${info.major} }
hosts:
  h1: 127.0.0.1
groups:
  ${info.group}:
    storage: local
    commit: async
${settings.length === 0 ? '' : `    settings:\n${settings.join('')}`}    members:
      n1: { ${member.join(', ')} }
`;
}
