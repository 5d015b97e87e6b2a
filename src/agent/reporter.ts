/** Brings this host's reports to the deciding agent: at once when something changed, else every second. */
import type { Calls } from './api.ts';
import { Bell, type Lifecycle } from '../lifecycle.ts';
import type { MemberReport } from '../group/model.ts';
import type { Log } from '../observe/log.ts';

const HEARTBEAT_MS = 1_000;
/** How long a report may take. */
export const REPORT_TIMEOUT_MS = 2_000;

export type ReportRequest = Calls['POST /v1/report']['request'];

export class Reporter {
  readonly #bell = new Bell();
  readonly #reports: () => MemberReport[];
  readonly #host: string;
  readonly #send: (request: ReportRequest) => Promise<void>;
  readonly #log: Log;
  #silent = false;

  constructor(options: { host: string; reports: () => MemberReport[]; send: (request: ReportRequest) => Promise<void>; log: Log }) {
    this.#host = options.host;
    this.#reports = options.reports;
    this.#send = options.send;
    this.#log = options.log;
  }

  start(life: Lifecycle): void {
    life.run('reporting', async (signal) => {
      while (!signal.aborted) {
        await this.#once();
        await this.#bell.wait(HEARTBEAT_MS, signal);
      }
    });
  }

  soon(): void {
    this.#bell.ring();
  }

  /** The decider may be away for a while: that is logged once, and said again when it is back. */
  async #once(): Promise<void> {
    try {
      await this.#send({ host: this.#host, pid: process.pid, reports: this.#reports() });
      if (this.#silent) this.#log.info({}, 'the deciding agent answers again');
      this.#silent = false;
    } catch (error) {
      if (!this.#silent) this.#log.warn({ err: error }, 'the deciding agent does not take reports');
      this.#silent = true;
    }
  }
}

