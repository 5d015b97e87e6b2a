/** WAL folders for a person, and as JSON. */
import { join } from 'node:path';
import type { TimelineHistory } from '../../wal/history.ts';
import { formatLsn } from '../../wal/lsn.ts';
import type { WalListing, WalSegment } from '../../wal/ls.ts';
import { summarize, type WalDamage, type WalVerdict } from '../../wal/verify.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { formatBytes } from './units.ts';

export function renderListing(listing: WalListing, histories: readonly TimelineHistory[]): string {
  const total = listing.segments.reduce((sum, segment) => sum + segment.size, 0);
  const lines = [
    `${listing.dir}: WAL of PostgreSQL ${listing.version}, system ${listing.systemIdentifier}\n`,
    `  ${listing.segments.length} ${listing.segments.length === 1 ? 'segment' : 'segments'} of ${formatBytes(listing.segmentSize)}, ${formatBytes(total)} in all\n`,
    renderTable<WalSegment>(
      [
        { title: 'segment', value: (segment) => segment.name },
        { title: 'tl', value: (segment) => String(segment.timeline), align: 'right' },
        { title: 'start', value: (segment) => formatLsn(segment.start) },
        { title: 'size', value: (segment) => formatBytes(segment.size), align: 'right' },
        { title: 'state', value: (segment) => segment.state },
      ],
      listing.segments,
      '  ',
    ),
    ...histories.map(({ timeline, parents }) => `  timeline ${timeline}: ${parents.map((parent) => `left ${parent.timeline} at ${formatLsn(parent.switchpoint)}`).join(', ')}\n`),
  ];
  if (listing.others.length > 0) lines.push(`  beside them: ${listing.others.join(', ')}\n`);
  return lines.join('');
}

export function renderVerdict(verdict: WalVerdict, style: Style): string {
  const { dir } = verdict.listing;
  const bad = verdict.gaps.length + verdict.damaged.length > 0;
  return [
    `${dir}: ${bad ? style.red('damaged') : style.green('sound')}\n`,
    ...verdict.damaged.map((damage) => `  ${style.red('!')} ${describeDamage(verdict, damage)}\n`),
    ...verdict.gaps.map((gap) => `  ${style.red('!')} timeline ${gap.timeline}: WAL from ${formatLsn(gap.from)} to ${formatLsn(gap.to)} is missing\n`),
    `  ${summarize(verdict)}\n`,
  ].join('');
}

/** The file, the position, and what is wrong there. */
export function describeDamage({ listing }: WalVerdict, { segment, lsn, reason }: WalDamage): string {
  const file = join(listing.dir, segment);
  return reason === 'unreadable' ? `${file}: no valid record begins in it (from ${formatLsn(lsn)} on)` : `${file}: the last valid record ends at ${formatLsn(lsn)} (${reason})`;
}

export function plainListing(listing: WalListing, histories: readonly TimelineHistory[]): object {
  return {
    dir: listing.dir, version: listing.version, systemIdentifier: String(listing.systemIdentifier), segmentSize: listing.segmentSize,
    segments: listing.segments.map((segment) => ({ ...segment, start: formatLsn(segment.start) })),
    timelines: histories.map(({ timeline, parents }) => ({ timeline, parents: parents.map((parent) => ({ ...parent, switchpoint: formatLsn(parent.switchpoint) })) })),
    others: listing.others,
  };
}

export function plainVerdict(verdict: WalVerdict): object {
  return {
    dir: verdict.listing.dir, timeline: verdict.timeline, end: verdict.end === null ? null : formatLsn(verdict.end), records: verdict.records,
    gaps: verdict.gaps.map((gap) => ({ ...gap, from: formatLsn(gap.from), to: formatLsn(gap.to) })),
    damaged: verdict.damaged.map((damage) => ({ ...damage, lsn: formatLsn(damage.lsn) })),
  };
}
