/**
 * What goes between main.ts, which makes the network and cleans up, and driver.ts, which runs inside it: plain data
 * over Node's IPC channel.
 */
import type { Network } from './net/network.ts';
import type { RoundResult } from './round.ts';
import type { TopologyName } from './topologies.ts';

export interface SessionOrder {
  folder: string;
  network: Network;
  topology: TopologyName;
  version: number;
  /** The volume of a shared group. */
  volume: { path: string; driver: string } | null;
  /** The seed of the first round; the next ones follow. */
  seed: number;
  rounds: number;
  /** ms of faults at most. */
  longest: number;
}

export type SessionNews =
  | { kind: 'say'; text: string }
  /** `hopeless`: the cluster did not even come up. */
  | { kind: 'round'; result: RoundResult; timeline: string[]; evidence: string | null; hopeless?: true };
