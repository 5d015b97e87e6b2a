/** The volumes that this host's members live on: opened once, measured seldom, watched for space. */
import { mkdir } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { VolumeStatus } from './api.ts';
import type { ClusterView } from './documents.ts';
import { PgorbitError } from '../errors.ts';
import { volumeOf } from '../group/on-volume.ts';
import { volumeMemberDir } from '../home.ts';
import { sleep, type Lifecycle } from '../lifecycle.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { mountImage } from '../volume/image.ts';
import { imageFileOf, readImageRecord } from '../volume/image-record.ts';
import { ensureBallast, judgeSpace, readSpace, releaseBallast, type SpaceLevel } from '../volume/space.ts';
import { openVolume, type Volume } from '../volume/volume.ts';

/** Measuring reads the extents of every file: no more than this share of the time goes into it. */
const MEASURE_SHARE = 0.02;
const MEASURE_EVERY_MS = 60_000;
/** While the room on the volume has stayed the same but for this many bytes, a measurement holds for longer. */
const UNCHANGED = 16 * 1024 * 1024;
const UNCHANGED_EVERY_MS = 600_000;
/** A question after the status waits no longer for a measurement: of a large volume it takes seconds. */
const GLANCE_MS = 300;
/** Own bytes below this are no reason to clone a member again, however small the database. */
const NOT_WORTH_IT = 256 * 1024 * 1024;

interface Measured {
  status: VolumeStatus;
  at: number;
  tookMs: number;
  /** Bytes, as #watchSpace gives them. */
  room: number;
}

export interface HostVolumesOptions {
  view: ClusterView;
  tell: (event: EventDraft) => void;
  log: Log;
  now: () => number;
  background: Lifecycle['run'];
}

export class HostVolumes {
  readonly #options: HostVolumesOptions;
  readonly #open = new Map<string, Promise<Volume>>();
  readonly #measured = new Map<string, Measured>();
  readonly #measuring = new Map<string, Promise<VolumeStatus>>();
  readonly #levels = new Map<string, SpaceLevel>();

  constructor(options: HostVolumesOptions) {
    this.#options = options;
  }

  /**
   * Opens the volume by name: an image that pgorbit made is mounted (again, after a reboot), a folder that is missing
   * is made. @throws as openVolume and mountImage, `no-such-volume`
   */
  async open(name: string): Promise<Volume> {
    const spec = this.#options.view.cluster?.document.spec.volumes[name];
    if (spec === undefined) throw new PgorbitError('no-such-volume', `the manifest has no volume ${name}`);
    const open = this.#open.get(name) ?? (async () => {
      if (await this.#hasImage(spec.path)) await mountImage(imageFileOf(spec.path));
      else await mkdir(spec.path, { recursive: true, mode: 0o755 });
      return openVolume(spec.path, spec.driver);
    })();
    this.#open.set(name, open);
    // A volume that could not be opened is tried again next time.
    open.catch(() => this.#open.delete(name));
    return open;
  }

  /** A folder for members whose storage is their own, made where it is missing: there, members are copied, never cloned. */
  async openFolder(path: string): Promise<Volume> {
    await mkdir(path, { recursive: true, mode: 0o755 });
    return openVolume(path, 'copy');
  }

  /** Ballast is only for a file system that is the volume's alone. */
  async #hasImage(path: string): Promise<boolean> {
    return (await readImageRecord(imageFileOf(path))) !== null;
  }

  /** Measures anew; those who ask meanwhile get the same answer. */
  measure(name: string): Promise<VolumeStatus> {
    const running = this.#measuring.get(name);
    if (running !== undefined) return running;
    const measuring = this.#measure(name).finally(() => this.#measuring.delete(name));
    this.#measuring.set(name, measuring);
    return measuring;
  }

  async #measure(name: string): Promise<VolumeStatus> {
    const volume = await this.open(name);
    const started = this.#options.now();
    const usage = await volume.usage(this.#membersOn(name).map(({ cluster, group, member }) => ({ name: member, dir: volumeMemberDir(volume.path, cluster, group, member) })));
    const facts = await readSpace(volume.path);
    const space = judgeSpace(facts);
    const status: VolumeStatus = {
      name, driver: volume.driver, why: volume.why, path: volume.path,
      bytes: { total: usage.total, free: usage.free, shared: usage.shared, logical: usage.logical },
      members: usage.members.map(({ name: member, exclusive, logical }) => ({ name: member, exclusive, logical })),
      warning: space.sentence ?? usage.note,
    };
    const at = this.#options.now();
    this.#measured.set(name, { status, at, tookMs: at - started, room: facts.free + facts.ballast });
    return status;
  }

  /** What is known, after a look, however short, at what was never measured or has other members now. */
  async glance(): Promise<VolumeStatus[]> {
    if (this.#names().some((name) => this.#hasChanged(name))) {
      const looked = new AbortController();
      this.#options.background('measuring volumes', () => this.watch().finally(() => looked.abort()));
      await sleep(GLANCE_MS, looked.signal);
    }
    return this.#names().flatMap((name) => this.#measured.get(name)?.status ?? []);
  }

  #names(): string[] {
    return Object.keys(this.#options.view.cluster?.document.spec.volumes ?? {});
  }

  /** Was it never measured, or are there other members on it than when it was? */
  #hasChanged(name: string): boolean {
    const measured = this.#measured.get(name)?.status.members.map((member) => member.name);
    return !isDeepStrictEqual(measured, this.#membersOn(name).map(({ member }) => member));
  }

  /** Looks at every volume's space, and measures those whose last measurement is old. */
  async watch(): Promise<void> {
    for (const name of this.#names()) {
      try {
        const room = await this.#watchSpace(name);
        const last = this.#measured.get(name);
        const unchanged = last !== undefined && Math.abs(last.room - room) < UNCHANGED;
        const rest = Math.max(unchanged ? UNCHANGED_EVERY_MS : MEASURE_EVERY_MS, (last?.tookMs ?? 0) / MEASURE_SHARE);
        if (this.#hasChanged(name) || (last !== undefined && this.#options.now() - last.at > rest)) await this.measure(name);
      } catch (error) {
        this.#options.log.warn({ err: error, volume: name }, 'the volume cannot be looked at');
      }
    }
  }

  /** @returns the bytes that are free, or would be without the ballast. */
  async #watchSpace(name: string): Promise<number> {
    const volume = await this.open(name);
    const space = await readSpace(volume.path);
    const { level, sentence } = judgeSpace(space);
    if (level === 'critical' && space.ballast > 0) await releaseBallast(volume.path);
    else if (level === 'ok' && space.ballast === 0 && (await this.#hasImage(volume.path))) await ensureBallast(volume.path);
    const before = this.#levels.get(name) ?? 'ok';
    this.#levels.set(name, level);
    const room = space.free + space.ballast;
    if (level === before) return room;
    const { tell } = this.#options;
    if (sentence !== null) tell({ level: level === 'warn' ? 'warning' : 'error', kind: 'volume-space', message: `volume ${name}: ${sentence}` });
    else tell({ level: 'info', kind: 'volume-space', message: `volume ${name} has room again` });
    return room;
  }

  /** Each member's own bytes as a share of the group's data (the primary's logical size). */
  exclusiveShare(group: string): Record<string, number> {
    const spec = this.#options.view.cluster?.document.spec.groups[group];
    const status = spec?.volume == null ? undefined : this.#measured.get(spec.volume)?.status;
    const shares: Record<string, number> = {};
    // Copies share nothing: to copy again would give nothing back.
    if (status?.driver === 'copy') return shares;
    for (const member of status?.members ?? []) {
      if (spec?.members[member.name] !== undefined && member.exclusive > NOT_WORTH_IT) shares[member.name] = member.exclusive / member.logical;
    }
    return shares;
  }

  /** Members that have data there. What is half made is measured when it is whole. */
  #membersOn(name: string): { cluster: string; group: string; member: string }[] {
    const { cluster, groups } = this.#options.view;
    const spec = cluster?.document.spec;
    return [...groups.values()].flatMap(({ record }) => {
      const group = spec?.groups[record.group];
      if (spec === undefined || group === undefined) return [];
      const there = Object.values(record.members).filter((member) => member.joined && volumeOf(group, member) === name);
      return there.map((member) => ({ cluster: spec.cluster, group: record.group, member: member.name }));
    });
  }
}
