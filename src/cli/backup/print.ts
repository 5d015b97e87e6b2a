import type { BackupInfo } from '../../backup/info.ts';
import type { Chain } from '../../backup/chain.ts';
import { formatLsn } from '../../wal/lsn.ts';
import { renderTable } from '../print/table.ts';
import { formatBytes } from '../print/units.ts';

export interface Listed {
  info: BackupInfo;
  /** To where a restore of it can come, or null where its WAL can't be judged. */
  chain: Chain | null;
  /** The full backup first, itself last; null where one is missing. */
  lineage: BackupInfo[] | null;
}

export function renderBackups(listed: readonly Listed[]): string {
  return renderTable<Listed>(
    [
      { title: 'backup', value: ({ info }) => info.label },
      { title: 'cluster', value: ({ info }) => `${info.cluster}/${info.group}` },
      { title: 'of', value: ({ info }) => info.source },
      { title: 'version', value: ({ info }) => info.version },
      { title: 'ended', value: ({ info }) => info.stoppedAt },
      { title: 'size', value: ({ info }) => formatBytes(info.bytes), align: 'right' },
      { title: 'builds on', value: ({ info }) => info.parent?.label ?? '' },
      { title: 'in all', value: ({ info, lineage }) => (info.parent === undefined ? '' : lineage === null ? 'broken' : `${formatBytes(bytesOf(lineage))} in ${lineage.length}`), align: 'right' },
      { title: 'consistent at', value: ({ info }) => info.stopLsn },
      { title: 'wal to', value: ({ chain }) => (chain === null ? '?' : formatLsn(chain.end)) },
      { title: 'missing', value: ({ chain }) => (chain === null || chain.missing.length === 0 ? '' : `${chain.missing[0]}${chain.missing.length > 1 ? ` and ${chain.missing.length - 1} more` : ''}`) },
    ],
    listed,
  );
}

const bytesOf = (lineage: readonly BackupInfo[]): number => lineage.reduce((sum, { bytes }) => sum + bytes, 0);

export const plainBackup = ({ info, chain, lineage }: Listed): object => ({ ...info, lineage: lineage?.map(({ label }) => label) ?? null, bytesInAll: lineage === null ? null : bytesOf(lineage), walTo: chain === null ? null : formatLsn(chain.end), walTimeline: chain?.history.timeline ?? null, walMissing: chain?.missing ?? [] });
