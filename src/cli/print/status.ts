/** `pgorbit status` for a person. */
import type { ArchiveStatus, GroupStatus, MemberStatus, StatusDocument, VolumeStatus } from '../../agent/api.ts';
import { isUp } from '../plan/health.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { formatBytes, formatMs } from './units.ts';

export function renderStatus(status: StatusDocument, style: Style): string {
  const parts = [
    `Cluster ${style.bold(status.cluster)}: ${overall(status, style)}\n`,
    siteLines(status, style),
    agentLines(status, style),
    ...status.groups.map((group) => renderGroup(group, style, status.site?.role === 'standby')),
    ...status.volumes.map((volume) => renderVolume(volume, style)),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function overall(status: StatusDocument, style: Style): string {
  const states = new Set(status.groups.map((group) => group.state));
  if (states.has('down')) return style.red('down');
  if (states.has('degraded') || status.agents.some((agent) => agent.state === 'unreachable')) return style.yellow('degraded');
  return style.green('healthy');
}

/** Of two sites: which one this is, and how the other is. */
function siteLines({ site }: StatusDocument, style: Style): string {
  if (site === undefined) return '';
  const { peer } = site;
  const contact = peer.answers ? 'answers' : peer.contactMs === null ? style.red('has not answered yet') : style.red(`does not answer since ${formatMs(peer.contactMs)}`);
  const there = peer.role === null ? '' : `, ${peer.role} site${peer.epoch === site.epoch || peer.epoch === null ? '' : ` of epoch ${peer.epoch}`}`;
  const lines = [`Site: ${style.bold(site.role)}, epoch ${site.epoch}; the other one is ${peer.cluster}${there}, which ${contact}\n`];
  if (site.handOver !== null) lines.push(`  ${style.yellow(site.handOver === 'done' ? `handed over to ${peer.cluster}, which has not taken it yet` : `handing over to ${peer.cluster}: ${site.handOver}`)}\n`);
  if (site.note !== null) lines.push(`  ${site.note}\n`);
  for (const { name, lagBytes } of site.groups) if (lagBytes !== null) lines.push(`  group ${name}: the standby site lacks ${formatBytes(lagBytes)}\n`);
  return lines.join('');
}

/** Agents are worth a line only while one of them does not answer. */
function agentLines(status: StatusDocument, style: Style): string {
  return status.agents
    .filter((agent) => agent.state === 'unreachable')
    .map((agent) => `${style.red('!')} the agent of ${agent.host} (${agent.address}:${agent.port}) does not answer\n`)
    .join('');
}

function renderGroup(group: GroupStatus, style: Style, standbySite: boolean): string {
  const engine = group.engine === null ? '' : `, PostgreSQL ${group.engine.replace(/^PostgreSQL /, '')}`;
  const state = { healthy: style.green, degraded: style.yellow, down: style.red }[group.state](group.state);
  const lines = [`Group ${style.bold(group.name)}: ${state}, storage ${group.storage}, commit ${group.commit}, term ${group.term}${engine}\n`];
  if (group.reason !== '') lines.push(`  ${group.reason}\n`);
  if (group.operation !== null) lines.push(`  under way: ${group.operation}\n`);
  lines.push(renderTable(memberColumns(group, style, standbySite), group.members, '  '));
  for (const member of group.members) {
    if (member.error !== null) lines.push(`  ${style.red('!')} ${member.name}: ${member.error.message}\n${member.error.hint === undefined ? '' : `    ${member.error.hint}\n`}`);
    if (member.pendingRestart.length > 0) lines.push(`  ${style.yellow('!')} ${member.name} waits for a restart: ${member.pendingRestart.join(', ')} changed (\`pgorbit restart ${member.name}\`)\n`);
  }
  if (group.archive !== null) lines.push(...archiveLines(group.archive, style));
  return lines.join('');
}

function archiveLines(archive: ArchiveStatus, style: Style): string[] {
  const { to, host, state, source, segment, lsn, lagBytes, lagMs, error, gap } = archive;
  const doing = host === null ? 'nobody archives yet' : `${host} archives${source === null ? '' : ` from ${source}`} to ${to}`;
  const how = state === 'streaming' ? style.green(state) : style.yellow(state);
  const far = lsn === null ? 'nothing yet' : `up to ${lsn}${segment === null ? '' : ` (${segment})`}`;
  const lag = [lagBytes === null ? '' : formatBytes(lagBytes), lagMs === null ? '' : formatMs(lagMs)].filter((part) => part !== '');
  return [
    `  WAL archive: ${doing}, ${how}, ${far}${lag.length === 0 ? '' : `, behind by ${lag.join(', ')}`}\n`,
    ...(error === null ? [] : [`  ${style.red('!')} archive: ${error.message}\n${error.hint === undefined ? '' : `    ${error.hint}\n`}`]),
    ...(gap === null ? [] : [`  ${style.red('!')} archive: WAL from ${gap.from} to ${gap.to} is missing for good; take a new backup (\`pgorbit backup\`)\n`]),
  ];
}

const memberColumns = (group: GroupStatus, style: Style, standbySite: boolean) => [
  { title: 'member', value: (member: MemberStatus) => member.name },
  { title: 'role', value: (member: MemberStatus) => (member.role === 'primary' ? style.bold(member.role) : member.role) + (member.synchronous ? ' (sync)' : '') },
  // Who votes is a question only where votes are counted, and not known while no agent leads. On a standby site none are.
  { title: 'votes', value: (member: MemberStatus) => (group.commit !== 'quorum' || group.term === 0 ? '' : standbySite ? 'no' : member.voter ? 'yes' : member.role === 'standby' ? 'never' : 'not yet') },
  { title: 'host', value: (member: MemberStatus) => member.host },
  { title: 'address', value: (member: MemberStatus) => `${member.address}:${member.port}` },
  { title: 'pid', value: (member: MemberStatus) => (member.pid === null ? '-' : String(member.pid)), align: 'right' as const },
  { title: 'state', value: (member: MemberStatus) => stateOf(member, style) },
  { title: 'tl', value: (member: MemberStatus) => (member.timeline === null ? '-' : String(member.timeline)), align: 'right' as const },
  { title: 'lsn', value: (member: MemberStatus) => member.lsn ?? '-' },
  { title: 'lag', value: lagOf, align: 'right' as const },
  // Worth a column where somebody follows another than the primary, or holds WAL back on its account.
  { title: 'from', value: (member: MemberStatus) => (group.members.some((one) => one.upstream !== null && one.upstream !== group.primary) ? (member.upstream ?? '') : '') },
  { title: 'holds back', value: (member: MemberStatus) => (member.role === 'standby' && member.retainedBytes !== null ? formatBytes(member.retainedBytes) : ''), align: 'right' as const },
];

function stateOf(member: MemberStatus, style: Style): string {
  const text = member.step === null || member.step === member.state ? member.state : `${member.state}: ${member.step}`;
  if (isUp(member)) return style.green(text);
  return member.state === 'failed' || member.state === 'fenced' ? style.red(text) : style.yellow(text);
}

function lagOf(member: MemberStatus): string {
  if (member.role === 'primary' || (member.lagBytes === null && member.lagMs === null)) return '';
  return [member.lagBytes === null ? '' : formatBytes(member.lagBytes), member.lagMs === null ? '' : formatMs(member.lagMs)].filter((part) => part !== '').join(', ');
}

/** What a volume holds; also the answer of `volume du`. */
export function renderVolume(volume: VolumeStatus, style: Style): string {
  const { bytes } = volume;
  const used = bytes.total - bytes.free;
  const lines = [
    `Volume ${style.bold(volume.name)}: ${volume.path}\n`,
    `  driver ${volume.driver}: ${volume.why}\n`,
    `  ${formatBytes(used)} of ${formatBytes(bytes.total)} used, ${formatBytes(bytes.free)} free\n`,
    `  ${formatBytes(bytes.logical)} of data for its members, in ${formatBytes(physical(volume))} on disk: ${formatBytes(bytes.shared)} shared, the rest each member's own\n`,
    renderTable(
      [
        { title: 'member', value: (member: VolumeStatus['members'][number]) => member.name },
        { title: 'own', value: (member: VolumeStatus['members'][number]) => formatBytes(member.exclusive), align: 'right' as const },
        { title: 'logical', value: (member: VolumeStatus['members'][number]) => formatBytes(member.logical), align: 'right' as const },
        { title: 'own share', value: (member: VolumeStatus['members'][number]) => (member.logical === 0 ? '-' : `${((100 * member.exclusive) / member.logical).toFixed(1)} %`), align: 'right' as const },
      ],
      volume.members,
      '  ',
    ),
  ];
  if (volume.warning !== null) lines.push(`  ${style.yellow('!')} ${volume.warning}\n`);
  return lines.join('');
}

/** What the members occupy on disk: what they share, once, and what each has alone. */
function physical(volume: VolumeStatus): number {
  return volume.bytes.shared + volume.members.reduce((sum, member) => sum + member.exclusive, 0);
}
