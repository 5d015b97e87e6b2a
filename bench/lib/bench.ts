/** What a bench is, and what it gives. */
import type { Machine } from './machine.ts';

export type Value = string | number | boolean | null;
export type Row = Record<string, Value>;

export interface BenchContext {
  /** To be done in under a minute. */
  quick: boolean;
  /** Sizes, file systems, rounds or kinds of groups that were asked for; null: all that the bench has. */
  only: Partial<Record<'scales' | 'fs' | 'rounds' | 'groups', string>>;
  /** One line of progress, on standard error. */
  say: (text: string) => void;
}

export interface BenchResult {
  /** Each with the same meaning of the same column; seconds and bytes unless the name says otherwise. */
  rows: Row[];
  /** What the bench is for, in a few numbers. */
  ratios: Record<string, number | null>;
  /** Where the bench has goals: a figure a row, beside its goal and what other tools need. */
  goals?: Row[];
}

export interface Bench {
  summary: string;
  run: (context: BenchContext) => Promise<BenchResult>;
}

/** What `npm run bench -- NAME --json` prints. */
export interface BenchDocument extends BenchResult {
  bench: string;
  machine: Machine;
}
