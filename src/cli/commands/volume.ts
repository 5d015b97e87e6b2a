import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { VolumeStatus } from '../../agent/api.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { PgorbitError } from '../../errors.ts';
import { checkImage, checkMounted, type CheckReport } from '../../volume/check.ts';
import { volumeFacts } from '../../volume/facts.ts';
import { createImage, growImage } from '../../volume/image.ts';
import { imageFileOf, readImageRecord } from '../../volume/image-record.ts';
import { openVolume } from '../../volume/volume.ts';
import type { Declare, Define } from '../command.ts';
import { withCluster, type Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { operate } from '../operate.ts';
import { chooseImageFs, imageObstacle } from '../plan/image.ts';
import { renderVolume } from '../print/status.ts';
import { renderTable } from '../print/table.ts';
import { formatBytes, parseSize, parseSpan } from '../print/units.ts';

/** Measuring a large volume reads the extents of every file. */
const MEASURE_MS = 600_000;

export const define: Define = (command, declare) => {
  create(sub(command, 'create', 'make a volume in an image file and mount it (root)'), declare);
  list(sub(command, 'list', 'the volumes of the cluster'), declare);
  usage(sub(command, 'du', 'what each member occupies alone, and what they share'), declare);
  reclaim(sub(command, 'reclaim', 'give space back: share WAL again, clone fat replicas anew'), declare);
  grow(sub(command, 'grow', 'make an image volume larger, while it is used (root)'), declare);
  check(sub(command, 'check', 'look for damage'), declare);
};

function sub(parent: Command, name: string, summary: string): Command {
  return parent.command(name).summary(summary).description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
}

function create(command: Command, declare: Declare): void {
  command
    .argument('<path>', 'where the volume is mounted; its image is the file PATH.img')
    .requiredOption('-s, --size <size>', 'such as 10GB; allocated in full')
    .option('--fs <type>', 'btrfs (attaches replicas fastest) or xfs (writes fastest)')
    .option('--image <file>', 'the image file, elsewhere than PATH.img');
  declare<{ size: string; fs?: string; image?: string }>(command, 'pgorbit volume create /srv/pgorbit --size 10GB', async (context, [path = ''], options) => {
    const size = parseSize(options.size, '--size');
    const facts = await volumeFacts();
    const fs = fsOf(options.fs) ?? chooseImageFs('auto', facts);
    const obstacle = imageObstacle(fs, facts);
    if (obstacle !== null) throw PgorbitError.fromReport(obstacle);
    const mountPoint = resolve(context.cwd, path);
    const imageFile = options.image === undefined ? imageFileOf(mountPoint) : resolve(context.cwd, options.image);
    context.progress.step(`make ${imageFile} (${formatBytes(size)}, ${fs}) and mount it on ${mountPoint}`);
    const owner = await postgresOsUser();
    const record = await createImage({ imageFile, mountPoint, size, fs, signal: context.signal, ...(owner === null ? {} : { owner }) });
    context.progress.done();
    context.out.text(`The volume is ready. In a manifest:\n\n  volumes:\n    main: ${mountPoint}\n`);
    context.out.document(record);
  });
}

function fsOf(text: string | undefined): 'btrfs' | 'xfs' | undefined {
  if (text === undefined || text === 'btrfs' || text === 'xfs') return text;
  throw new PgorbitError('usage', `--fs is ${JSON.stringify(text)}`, { hint: 'it may be btrfs or xfs' });
}

function list(command: Command, declare: Declare): void {
  declare(command, 'pgorbit volume list', async (context) => {
    await withCluster(context, async (cluster) => {
      const { volumes } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      context.out.text(
        renderTable<VolumeStatus>(
          [
            { title: 'volume', value: (volume) => volume.name },
            { title: 'path', value: (volume) => volume.path },
            { title: 'driver', value: (volume) => volume.driver },
            { title: 'size', value: (volume) => formatBytes(volume.bytes.total), align: 'right' },
            { title: 'free', value: (volume) => formatBytes(volume.bytes.free), align: 'right' },
            { title: 'members', value: (volume) => String(volume.members.length), align: 'right' },
          ],
          volumes,
        ),
      );
      context.out.document({ volumes });
    });
  });
}

function usage(command: Command, declare: Declare): void {
  command.argument('[volume]', 'one volume (default: all)');
  declare(command, 'pgorbit volume du', async (context, [wanted]) => {
    await withCluster(context, async (cluster) => {
      const measured: VolumeStatus[] = [];
      for (const volume of await volumeNames(context, cluster, wanted)) {
        context.progress.step(`measure volume ${volume}`);
        measured.push(await cluster.call('POST /v1/volume/usage', { volume }, { timeoutMs: context.timeoutMs ?? MEASURE_MS, signal: context.signal }));
      }
      context.progress.done();
      context.out.text(measured.map((volume) => renderVolume(volume, context.style)).join('\n'));
      context.out.document({ volumes: measured });
    });
  });
}

function reclaim(command: Command, declare: Declare): void {
  command
    .argument('[volume]', 'one volume (default: all)')
    .option('--reclone', 'also clone every replica anew, one after the other, each when no client uses it')
    .option('--drain <span>', 'with --reclone: how long to wait for the clients of a replica before they are cut off', '60s');
  declare<{ reclone?: boolean; drain: string }>(command, 'pgorbit volume reclaim\npgorbit volume reclaim --reclone --drain 5min', async (context, [wanted], options) => {
    const drainMs = parseSpan(options.drain, '--drain');
    await withCluster(context, async (cluster) => {
      const names = await volumeNames(context, cluster, wanted);
      const shared: { volume: string; freed: number; segments: number }[] = [];
      for (const volume of names) {
        context.progress.step(`share closed WAL segments on ${volume} again`);
        const answer = await cluster.call('POST /v1/volume/reclaim', { volume }, { timeoutMs: context.timeoutMs ?? MEASURE_MS, signal: context.signal });
        context.progress.done(`${answer.segments} segments, ${formatBytes(answer.freed)} freed`);
        shared.push({ volume, ...answer });
      }
      const recloned = options.reclone === true ? await recloneAll(context, cluster, names, drainMs) : [];
      const freed = shared.reduce((sum, one) => sum + one.freed, 0);
      context.out.text(`${formatBytes(freed)} of WAL shared again${recloned.length === 0 ? '' : `; cloned anew: ${recloned.join(', ')}`}. \`pgorbit volume du\` shows what is left.\n`);
      context.out.document({ shared, recloned });
    });
  });
}

/** The rolling clone of every group on these volumes. Returns the groups. */
async function recloneAll(context: Context, cluster: Cluster, volumes: readonly string[], drainMs: number): Promise<string[]> {
  const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  const groups = Object.values(document?.spec.groups ?? {}).filter((group) => group.volume !== null && volumes.includes(group.volume));
  for (const group of groups) {
    context.progress.step(`clone the replicas of ${group.name} anew, one at a time`);
    const replicas = Object.keys(group.members).length;
    await operate(context, cluster, { kind: 'reclone', group: group.name, members: null, drainMs }, context.deadline(replicas * (drainMs + 120_000)));
    context.progress.done();
  }
  return groups.map((group) => group.name);
}

function grow(command: Command, declare: Declare): void {
  command.argument('<path>', 'where the volume is mounted, or its image file').requiredOption('-s, --size <size>', 'its new size, such as 20GB');
  declare<{ size: string }>(command, 'pgorbit volume grow /srv/pgorbit --size 20GB', async (context, [path = ''], options) => {
    const size = parseSize(options.size, '--size');
    const image = await imageOf(resolve(context.cwd, path));
    if (image === null) throw new PgorbitError('not-ours', `${path} is no image volume that pgorbit made: it can't grow it`, { hint: "grow the file system with the machine's own tools; pgorbit sees the new size by itself" });
    context.progress.step(`grow ${image} to ${formatBytes(size)}`);
    const record = await growImage(image, size);
    context.progress.done();
    context.out.text(`${record.mountPoint} has ${formatBytes(record.size)} now.\n`);
    context.out.document(record);
  });
}

function check(command: Command, declare: Declare): void {
  command.argument('[path]', 'the volume, or its image file (default: those of the cluster)');
  declare(command, 'pgorbit volume check\npgorbit volume check /srv/pgorbit.img', async (context, [path]) => {
    const paths = path === undefined ? await clusterPaths(context) : [resolve(context.cwd, path)];
    const reports: ({ path: string } & CheckReport)[] = [];
    for (const each of paths) {
      context.progress.step(`check ${each}`);
      const image = await imageOf(each);
      const report = image === null ? await checkMounted((await openVolume(each, 'auto')).path) : await checkImage(image);
      context.progress.done();
      context.out.text(`${each}: ${report.sound ? context.style.green('sound') : context.style.red('damaged')}\n${report.lines.map((line) => `  ${line}\n`).join('')}`);
      reports.push({ path: each, ...report });
    }
    const damaged = reports.filter((report) => !report.sound);
    context.out.document({ volumes: reports });
    if (damaged.length > 0) throw new PgorbitError('volume-failed', `damage was found on ${damaged.map((report) => report.path).join(', ')}`, { hint: 'make a dump of what can be read (`pg_dump`), and restore onto a new volume' });
  });
}

/** The image that `path` is the mount point or the file of, or null. */
async function imageOf(path: string): Promise<string | null> {
  for (const file of [path, imageFileOf(path)]) if ((await readImageRecord(file)) !== null) return file;
  return null;
}

async function volumeNames(context: Context, cluster: Cluster, wanted: string | undefined): Promise<string[]> {
  const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  const names = Object.keys(document?.spec.volumes ?? {});
  if (wanted === undefined) return names;
  if (names.includes(wanted)) return [wanted];
  throw new PgorbitError('no-such-volume', `there is no volume ${JSON.stringify(wanted)}`, { hint: `the volumes are: ${names.join(', ')}` });
}

async function clusterPaths(context: Context): Promise<string[]> {
  return withCluster(context, async (cluster) => {
    const { document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
    return Object.values(document?.spec.volumes ?? {}).map((volume) => volume.path);
  });
}
