/** What one agent kept of the cluster's story: JSON lines in two files of bounded size, counted across restarts. */
import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import type { EventDraft, OrbitEvent } from './event.ts';

export interface EventLogOptions {
  /** The newer file; the older one has `.1` behind its name. The folder must exist. */
  file: string;
  host: string;
  /** The size in bytes at which the file becomes the older one; default 1 MB. */
  limit?: number;
  /** Wall-clock ms, for the events' time; default Date.now. */
  now?: () => number;
  /** Told of an event that could not be written; it is still in memory and with those who wait. */
  onError: (error: unknown, what: string) => void;
}

const DEFAULT_LIMIT = 1024 * 1024;
/** Events in memory: enough for those who follow; who asks for older ones is answered from the files. */
const RECENT = 200;

export class EventLog {
  readonly #options: EventLogOptions;
  readonly #limit: number;
  #size: number;
  /** A crash may have left the file without an end of line: the next event begins a new one. */
  #torn: boolean;
  #sequence: number;
  /** The newest events without a gap, oldest first. */
  #recent: OrbitEvent[];
  readonly #waiters = new Set<() => void>();

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#limit = options.limit ?? DEFAULT_LIMIT;
    const text = readText(options.file);
    this.#size = Buffer.byteLength(text);
    this.#torn = text !== '' && !text.endsWith('\n');
    this.#recent = [...parse(readText(`${options.file}.1`)), ...parse(text)].slice(-RECENT);
    this.#sequence = this.#recent.at(-1)?.sequence ?? 0;
  }

  /** The sequence of the newest event; 0 when there is none. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The newest events, oldest first. */
  newest(): readonly OrbitEvent[] {
    return this.#recent;
  }

  append(draft: EventDraft): OrbitEvent {
    const event: OrbitEvent = {
      time: new Date((this.#options.now ?? Date.now)()).toISOString(),
      sequence: ++this.#sequence,
      host: this.#options.host,
      group: draft.group ?? null,
      member: draft.member ?? null,
      level: draft.level,
      kind: draft.kind,
      message: draft.message,
      operation: draft.operation ?? null,
    };
    this.#write(`${JSON.stringify(event)}\n`);
    this.#recent.push(event);
    if (this.#recent.length > RECENT) this.#recent.shift();
    for (const wake of this.#waiters) wake();
    return event;
  }

  /** The events above `sequence`, oldest first, at most `limit`; those that the files no longer hold are left out. */
  after(sequence: number, limit: number): OrbitEvent[] {
    const oldest = this.#recent[0]?.sequence ?? 0;
    const inMemory = sequence >= oldest - 1;
    const all = inMemory ? this.#recent : [...parse(readText(`${this.#options.file}.1`)), ...parse(readText(this.#options.file))];
    return all.filter((event) => event.sequence > sequence).slice(0, limit);
  }

  /** As `after` (at most 1000), but waits up to `ms` for the first one; returns what there is when `signal` aborts. */
  async wait(afterSequence: number, ms: number, signal?: AbortSignal): Promise<OrbitEvent[]> {
    // A follower may know of events that a crash took from the file: it goes on with what comes next.
    const after = Math.min(afterSequence, this.#sequence);
    if (this.#sequence === after && !signal?.aborted) {
      const waiting = new AbortController();
      const wake = (): void => waiting.abort();
      this.#waiters.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
      await sleep(ms, waiting.signal);
      signal?.removeEventListener('abort', wake);
      this.#waiters.delete(wake);
    }
    return this.after(after, 1000);
  }

  #write(line: string): void {
    const text = this.#torn ? `\n${line}` : line;
    try {
      if (this.#size > 0 && this.#size + text.length > this.#limit) {
        renameSync(this.#options.file, `${this.#options.file}.1`);
        this.#size = 0;
      }
      appendFileSync(this.#options.file, text, { mode: 0o600 });
      this.#size += Buffer.byteLength(text);
      this.#torn = false;
    } catch (error) {
      // A full disk may have taken half a line.
      this.#torn = true;
      this.#size = sizeOf(this.#options.file);
      this.#options.onError(error, 'writing the event log');
    }
  }
}

/** A line that is no JSON was torn by a crash or a full disk. */
function parse(text: string): OrbitEvent[] {
  return text.split('\n').flatMap((line) => {
    if (line === '') return [];
    try {
      return [JSON.parse(line) as OrbitEvent];
    } catch {
      return [];
    }
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
