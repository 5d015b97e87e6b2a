/** What the driver and its clients tell each other over Node's IPC channel. */
import type { Target } from '../../test/support/connect.ts';
import type { Ack, BankSum, OpenSpan, Sight } from '../history.ts';

/** A member, and how to reach it: by address for load, by its socket's folder for the watcher. */
export interface Place extends Target {
  member: string;
}

/** To a client. `first` numbers the client's sessions. */
export type Order = { kind: 'start'; places: Place[]; first: number } | { kind: 'stop' };

/** From one: how many commits were acknowledged since the start, twice a second; everything after a stop. */
export type News = { kind: 'count'; acks: number } | { kind: 'story'; story: Story };

export interface Story {
  acks: Ack[];
  /** By the watcher alone. */
  open: OpenSpan[];
  sights: Sight[];
  sums: { looked: number; wrong: BankSum[] };
  /** By load alone. */
  transfers: number;
  /** Statements that failed or whose outcome is not known, by message. */
  errors: Record<string, number>;
}

export const emptyStory = (): Story => ({ acks: [], open: [], sights: [], sums: { looked: 0, wrong: [] }, transfers: 0, errors: {} });

/** ms of CLOCK_MONOTONIC, the same in every process of the machine. */
export const clock = (): number => Number(process.hrtime.bigint()) / 1e6;

export const LOG_TABLE = 'chaos_log';
export const BANK_TABLE = 'chaos_bank';
export const ACCOUNTS = 30;
export const BALANCE = 100;
