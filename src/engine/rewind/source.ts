/** The running primary that a rewind copies from, over SQL (pg_rewind's libpq_source.c). Errors are PgorbitError. */
import { PgorbitError } from '../../errors.ts';
import { type TimelineHistory, historyFileName, parseHistory } from '../../wal/history.ts';
import { type Lsn, formatLsn, parseLsn, segmentOffset } from '../../wal/lsn.ts';
import { LONG_HEADER, SHORT_HEADER, WAL_PAGE } from '../../wal/page.ts';
import { sleep } from '../../lifecycle.ts';
import { type ControlData, parseControlFile } from '../control.ts';
import type { SqlSession } from '../sql.ts';
import type { Listing, Range } from './plan.ts';

const QUERY_TIMEOUT_MS = 60_000;
const CHECKPOINT_TIMEOUT_MS = 600_000;

/** Everything below the data directory that one can list; a file that goes meanwhile has no size. */
const LIST_SQL = `
WITH RECURSIVE found (path, size, isdir) AS (
  SELECT name, s.size, s.isdir FROM pg_ls_dir('.', true, false) AS name, pg_stat_file(name, true) AS s
  UNION ALL
  SELECT path || '/' || name, s.size, s.isdir
  FROM found, pg_ls_dir(path, true, false) AS name, pg_stat_file(path || '/' || name, true) AS s
  WHERE found.isdir AND found.path <> 'pg_wal'
)
SELECT path, size::float8 AS size, isdir FROM found WHERE isdir IS NOT NULL`;

const READ_SQL = `
SELECT pg_read_binary_file(path, start, length, true) AS chunk
FROM unnest($1::text[], $2::int8[], $3::int4[]) WITH ORDINALITY AS r(path, start, length, number)
ORDER BY number`;

export class RewindSource {
  readonly name: string;
  readonly #sql: SqlSession;

  constructor(sql: SqlSession, name: string) {
    this.#sql = sql;
    this.name = name;
  }

  /**
   * The timeline that the source writes. Of its control file it would be the old one until the first checkpoint after
   * the promotion. Throws `unsafe` for a server in recovery, and where full_page_writes is off: blocks are read while
   * they are written, and full-page images mend the torn ones.
   */
  async timeline(): Promise<number> {
    const [state] = await this.#query<{ recovery: boolean; writes: string }>(`SELECT pg_is_in_recovery() AS recovery, current_setting('full_page_writes') AS writes`);
    if (state!.recovery) throw this.#refuse('is in recovery', 'rewind to the primary');
    if (state!.writes !== 'on') throw this.#refuse('runs with full_page_writes off', 'turn it on');
    const [position] = await this.#query<{ file: string }>('SELECT pg_walfile_name(pg_current_wal_lsn()) AS file');
    return Number.parseInt(position!.file.slice(0, 8), 16);
  }

  /** The history of its timeline; throws `wal-invalid` where the file is gone. */
  async history(timeline: number): Promise<{ history: TimelineHistory; text: string }> {
    if (timeline === 1) return { history: { timeline, parents: [] }, text: '' };
    const name = historyFileName(timeline);
    const text = await this.historyText(timeline);
    if (text === null) throw new PgorbitError('wal-invalid', `${this.name} has no pg_wal/${name}`, { hint: 'make this member anew from a fresh copy' });
    return { history: parseHistory(timeline, text, `${name} of ${this.name}`), text };
  }

  /** A history file's text, or null where there is none. */
  async historyText(timeline: number): Promise<string | null> {
    const [bytes] = await this.read([{ path: `pg_wal/${historyFileName(timeline)}`, offset: 0, length: 1 << 20 }]);
    return bytes?.toString('utf8') ?? null;
  }

  /** The control file, read again where it was being written. */
  async control(): Promise<{ data: ControlData; bytes: Buffer }> {
    for (let left = 10; ; left--) {
      const [bytes] = await this.read([{ path: 'global/pg_control', offset: 0, length: 8192 }]);
      try {
        return { data: parseControlFile(bytes ?? Buffer.alloc(0), `global/pg_control of ${this.name}`), bytes: bytes! };
      } catch (error) {
        if (left === 0) throw error;
        await sleep(20);
      }
    }
  }

  /** All that it replayed or wrote so far is on its disk when this resolves. */
  async checkpoint(): Promise<void> {
    await this.#query('CHECKPOINT', [], CHECKPOINT_TIMEOUT_MS);
  }

  /** The end of the last record that it wrote. */
  async insertEnd(segmentSize: number): Promise<Lsn> {
    const [row] = await this.#query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    const lsn = parseLsn(row!.lsn);
    // Where the last record fills a page, the function says where the next begins; a replica never reports to have
    // replayed that far before there is a next one, and would wait for it to become consistent.
    const header = segmentOffset(lsn, segmentSize) === LONG_HEADER ? LONG_HEADER : SHORT_HEADER;
    return Number(lsn % BigInt(WAL_PAGE)) === header ? lsn - BigInt(header) : lsn;
  }

  /** Throws `wal-invalid` unless the segment file `name`, which holds `lsn`, is still there to be streamed. */
  async requireSegment(name: string, lsn: Lsn): Promise<void> {
    const [row] = await this.#query<{ there: boolean }>('SELECT (pg_stat_file($1, true)).size IS NOT NULL AS there', [`pg_wal/${name}`]);
    if (row!.there) return;
    throw new PgorbitError('wal-invalid', `${this.name} has removed the WAL from ${formatLsn(lsn)} on, where this member would have to begin`, {
      hint: 'make this member anew from a fresh copy',
    });
  }

  /** Files and folders; pg_wal without its content. Throws `unsafe` where there are tablespaces. */
  async list(): Promise<Listing> {
    const rows = await this.#query<{ path: string; size: number; isdir: boolean }>(LIST_SQL);
    const listing = new Map(rows.map((row) => [row.path, row.isdir ? null : row.size]));
    if ([...listing.keys()].some((path) => path.startsWith('pg_tblspc/'))) throw this.#refuse('has tablespaces', 'make this member anew from a fresh copy');
    return listing;
  }

  /** The bytes of each range: fewer where the file ends before, null where there is no such file. */
  async read(ranges: readonly Range[]): Promise<(Buffer | null)[]> {
    const columns = [ranges.map((range) => range.path), ranges.map((range) => range.offset), ranges.map((range) => range.length)];
    const rows = await this.#query<{ chunk: Buffer | null }>(READ_SQL, columns);
    return rows.map((row) => row.chunk);
  }

  async #query<T extends object>(text: string, params: readonly unknown[] = [], timeoutMs = QUERY_TIMEOUT_MS): Promise<T[]> {
    try {
      return await this.#sql.query<T>(text, params, { timeoutMs });
    } catch (cause) {
      if (cause instanceof PgorbitError) throw cause;
      throw new PgorbitError('postgres-failed', `${this.name} could not be read: ${cause instanceof Error ? cause.message : String(cause)}`, { hint: 'look at its log', cause });
    }
  }

  #refuse(why: string, hint: string): PgorbitError {
    return new PgorbitError('unsafe', `this member cannot be rewound to ${this.name}, which ${why}`, { hint });
  }
}
