/** Brings this host's reports to the deciding agent: at once when something changed, else every second. */
import { identify } from '../engine/proc.ts';
import { Bell, sleep, type Lifecycle } from '../lifecycle.ts';
import type { ArchiveReport, MemberReport } from '../group/model.ts';
import type { Log } from '../observe/log.ts';

const HEARTBEAT_MS = 1_000;
/** From this age of the last one on a report goes along with what leaves for the leader in any case. */
const ALONG_MS = 700;
/** While a primary here lives by the lease, which a report that is taken renews. */
const LEASED_MS = 400;
/** After a report that its receiver did not take: it has only just been elected, or no longer leads. */
const REFUSED_MS = 100;
/** After this long without an answer the log says so. */
const PATIENCE_MS = 2_000;
/** Reports that were sent and not answered: more than this many are not remembered. */
const OPEN_AT_MOST = 64;

export interface ReportRequest {
  host: string;
  pid: number;
  /** When the agent's process began, in clock ticks since the machine's start, and which of its reports this is: an older one that comes late says nothing. */
  started: number;
  number: number;
  reports: MemberReport[];
  /** Of the archivers that this host runs. */
  archives?: ArchiveReport[];
}

const STARTED = Number(identify(process.pid)?.startTime ?? 0);

export interface ReporterOptions {
  host: string;
  reports: () => MemberReport[];
  archives?: () => ArchiveReport[];
  /** A member of this host needs the lease. */
  leases: () => boolean;
  /** Sends it to the agent that leads, if any does; the answer comes to answered(), with the number. */
  send: (id: number, request: ReportRequest) => void;
  /** ms, monotonic */
  now: () => number;
  log: Log;
  /** An agent that led has taken a report. */
  onTaken?: () => void;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #bell = new Bell();
  #open: { id: number; at: number }[] = [];
  #id = 0;
  #takenAt = -Infinity;
  #since = -Infinity;
  #silent = false;
  #refused = false;
  #news = false;
  #sentAt = -Infinity;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  start(life: Lifecycle): void {
    life.run('reporting', async (signal) => {
      this.#since = this.#options.now();
      while (!signal.aborted) {
        if (this.#news || this.#due() <= 0) this.#once();
        await this.#bell.wait(this.#due(), signal);
        if (!this.#refused) continue;
        this.#refused = false;
        await sleep(REFUSED_MS, signal);
      }
    });
  }

  soon(): void {
    this.#news = true;
    this.#bell.ring();
  }

  /** Something leaves for the agent that leads. A report on which no lease depends goes with it if it were to go soon. */
  along(): void {
    if (!this.#options.leases() && this.#options.now() - this.#sentAt >= ALONG_MS) this.#once();
  }

  /** After how many ms the next report is due. */
  #due(): number {
    return this.#sentAt + (this.#options.leases() ? LEASED_MS : HEARTBEAT_MS) - this.#options.now();
  }

  /** @param known the receiver led, and has taken this report. */
  answered(id: number, known: boolean): void {
    const sent = this.#open.find((one) => one.id === id);
    this.#open = this.#open.filter((one) => one.id > id);
    if (known) {
      this.#takenAt = Math.max(this.#takenAt, sent?.at ?? -Infinity);
      if (this.#silent) this.#options.log.info({}, 'the deciding agent answers again');
      this.#silent = false;
      this.#options.onTaken?.();
    } else {
      this.#refused = true;
      this.soon();
    }
  }

  /** How long ago this agent wrote the newest report that is known to be taken by an agent that led, ms; Infinity: none is. */
  takenMsAgo(): number {
    return this.#options.now() - this.#takenAt;
  }

  #once(): void {
    const { now, host, reports, archives, send, log } = this.#options;
    const said = archives?.() ?? [];
    this.#news = false;
    this.#sentAt = now();
    this.#id += 1;
    this.#open.push({ id: this.#id, at: this.#sentAt });
    if (this.#open.length > OPEN_AT_MOST) this.#open.shift();
    send(this.#id, { host, pid: process.pid, started: STARTED, number: this.#id, reports: reports(), ...(said.length === 0 ? {} : { archives: said }) });
    // The decider may be away for a while: that is logged once, and said again when it is back.
    if (this.#silent || now() - Math.max(this.#takenAt, this.#since) < PATIENCE_MS) return;
    this.#silent = true;
    log.warn({}, 'the deciding agent does not take reports, or there is none');
  }
}
