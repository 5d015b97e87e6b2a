/** The archivers that this host runs: one for each group of which the record says so, and none of any other. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterView } from './documents.ts';
import { archiverStep, archiverFile, reportOf, s3Environment, Story } from './archiving.ts';
import { logFile, readConfig, readStatus, writeConfig, type ArchiverStatus } from '../backup/archive/files.ts';
import { adoptArchiver, startArchiver, stopArchiver } from '../backup/archive/process.ts';
import { homeS3Config } from '../backup/open-store.ts';
import { exists } from '../durable.ts';
import type { Companion } from '../engine/companion.ts';
import { toReport, type ErrorReport } from '../errors.ts';
import { backOff } from '../group/member/loop.ts';
import type { ArchiveReport } from '../group/model.ts';
import { agentDir } from '../home.ts';
import { Bell, type Lifecycle } from '../lifecycle.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { rotateLog } from '../observe/rotate.ts';

export interface HostArchiversOptions {
  home: string;
  cluster: string;
  host: string;
  view: ClusterView;
  tell: (event: EventDraft) => void;
  log: Log;
}

/** Below an agent's folder, so that it goes with that. */
export const archivesDir = (home: string, cluster: string, host: string): string => join(agentDir(home, cluster, host), 'archive');

const LOOK_MS = 500;
/** While there is nothing to look after. */
const IDLE_MS = 10_000;
/** A process that dies sooner than this has not recovered: the next start waits longer. */
const LONG_MS = 10_000;

/** One group's, as it was seen last. */
class Archiver {
  process: Companion | null = null;
  status: ArchiverStatus | null = null;
  /** The number of the assignment. */
  epoch = 0;
  error: ErrorReport | null = null;
  /** performance.now() when it was started or found, and from when on it may be started again. */
  since = 0;
  notBefore = 0;
  failures = 0;
  readonly story = new Story();
}

export class HostArchivers {
  readonly #options: HostArchiversOptions;
  readonly #dir: string;
  readonly #archivers = new Map<string, Archiver>();
  readonly #bell = new Bell();
  #current = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: HostArchiversOptions) {
    this.#options = options;
    this.#dir = archivesDir(options.home, options.cluster, options.host);
  }

  start(life: Lifecycle): void {
    life.run('archiving', (signal) => (this.#loop = this.#run(signal)));
  }

  /** The documents changed. */
  look(): void {
    this.#bell.ring();
  }

  /** The documents are the newest that a majority knows of: nothing is begun or ended before. */
  nowCurrent(): void {
    this.#current = true;
    this.look();
  }

  reports(): ArchiveReport[] {
    const { host } = this.#options;
    return [...this.#archivers].map(([group, { epoch, process, status, error }]) => reportOf({ group, host, epoch, pid: process?.id.pid ?? null, status, error, now: Date.now() }));
  }

  /** Lets go of the processes, which go on; with `halt` they end. The loop must have ended. */
  async stop(halt: boolean): Promise<void> {
    await this.#loop;
    await Promise.all([...this.#archivers].map(async ([group, archiver]) => {
      this.#adopt(group, archiver);
      const { process } = archiver;
      process?.release();
      if (halt && process !== null) await stopArchiver(process);
    }));
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { view, log } = this.#options;
      if (view.cluster !== null && view.secrets !== null) {
        for (const group of await this.#groups()) {
          try {
            await this.#round(group);
          } catch (error) {
            log.warn({ err: error, group }, 'the archiver cannot be looked after');
            const archiver = this.#archiver(group);
            archiver.error = toReport(error);
            archiver.failures += 1;
            archiver.notBefore = performance.now() + backOff(archiver.failures);
          }
        }
        this.#narrate();
      }
      await this.#bell.wait(this.#archivers.size === 0 ? IDLE_MS : LOOK_MS, signal);
    }
  }

  /** Those that are archived from here, and those of which something is left. */
  async #groups(): Promise<string[]> {
    const { view, host } = this.#options;
    const left = await readdir(this.#dir).catch(() => []);
    return [...new Set([...[...view.groups].filter(([, { record }]) => record.archive?.host === host).map(([group]) => group), ...this.#archivers.keys(), ...left])];
  }

  #archiver(group: string): Archiver {
    const known = this.#archivers.get(group) ?? new Archiver();
    this.#archivers.set(group, known);
    return known;
  }

  async #round(group: string): Promise<void> {
    const { view, cluster, host } = this.#options;
    const dir = join(this.#dir, group);
    const archiver = this.#archiver(group);
    this.#adopt(group, archiver);
    archiver.status = await readStatus(dir);
    if (!this.#current || view.secrets === null) return;
    const record = view.groups.get(group)?.record;
    const wanted = archiverFile({ cluster, clusterId: view.cluster!.document.id, host, record, spec: view.cluster!.document.spec.groups[group], account: view.secrets.replication });
    archiver.epoch = wanted?.epoch ?? 0;
    const step = archiverStep(wanted, await readConfig(dir), archiver.process !== null);
    if (step === 'stop' && archiver.process !== null) {
      await stopArchiver(archiver.process);
      this.#gone(archiver, archiver.process);
    } else if (step === 'forget') {
      await rm(dir, { recursive: true, force: true });
      this.#archivers.delete(group);
    } else if (step === 'write' && wanted !== null) {
      await writeConfig(dir, wanted);
    } else if (step === 'start' && wanted !== null && performance.now() >= archiver.notBefore) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      if (await exists(logFile(dir))) await rotateLog(logFile(dir));
      await writeConfig(dir, wanted);
      this.#watch(archiver, await startArchiver(dir, s3Environment(process.env, await homeS3Config(this.#options.home))));
      archiver.error = null;
    }
  }

  #adopt(group: string, archiver: Archiver): void {
    if (archiver.process !== null) return;
    const found = adoptArchiver(join(this.#dir, group));
    if (found !== null) this.#watch(archiver, found);
  }

  #watch(archiver: Archiver, process: Companion): void {
    archiver.process = process;
    archiver.since = performance.now();
    void process.exited.then(() => this.#gone(archiver, process));
  }

  #gone(archiver: Archiver, process: Companion): void {
    if (archiver.process !== process) return;
    process.release();
    archiver.process = null;
    archiver.failures = performance.now() - archiver.since < LONG_MS ? archiver.failures + 1 : 0;
    archiver.notBefore = archiver.failures === 0 ? 0 : performance.now() + backOff(archiver.failures);
    this.#bell.ring();
  }

  #narrate(): void {
    const { view, host, tell } = this.#options;
    // Of a cluster that is down nothing is archived, and nobody wonders.
    if (view.cluster?.document.stopped !== false) return;
    for (const report of this.reports()) {
      const archive = view.groups.get(report.group)?.record.archive;
      if (archive?.host !== host || archive.epoch !== report.epoch) continue;
      for (const event of this.#archiver(report.group).story.next(report, archive.to, performance.now())) tell({ group: report.group, member: report.source, ...event });
    }
  }
}
