/** What a command wants of a cluster, what is to be done for it, and what came of that. */
import type { StatusDocument } from '../agent/api.ts';
import type { ClusterSpec, SecretsDocument } from '../group/model.ts';
import type { Change } from '../manifest/diff.ts';
import type { DemoVolume } from './demo.ts';
import type { ManifestInput } from './manifest.ts';
import type { Present } from './present.ts';

export interface Wish {
  input: ManifestInput;
  spec: ClusterSpec;
  /** How the demo's volume is to be made, for the first `up` of the demo. */
  demo: DemoVolume | null;
  /** For the lock, and for whoever meets it: `up`, `add replica`. */
  command: string;
  dryRun: boolean;
  /** Restart members, one by one, where a changed setting needs it. */
  restart: boolean;
  /** The revision that the text was edited from, or null: whatever is in force. */
  revision: number | null;
  /** Hosts that are to join from another machine, whatever their address. */
  invited?: readonly string[];
  /** How long to wait where the person says nothing, ms. */
  timeoutMs?: number;
  /** A new cluster that begins with data of another: the id that they are marked with, and the accounts that they have. */
  adopt?: { clusterId: string; secrets: SecretsDocument };
  /** Tell how hosts that have not joined yet do so, and wait for them. */
  awaitHosts?: boolean;
  /**
   * For a new cluster whose first member's data come from elsewhere: made before its agent starts, with these accounts in
   * them. `begin` comes before anything else is made.
   */
  founding?: { secrets: SecretsDocument; begin: () => Promise<void>; prepare: (clusterId: string) => Promise<void> };
  /** Write the text into the user's file as well, where that still holds what was applied last. */
  edited: boolean;
}

/** What is to be done, once nothing stands in the way of it. */
export interface Plan {
  wish: Wish;
  /** With the ports that were settled before. */
  spec: ClusterSpec;
  changes: Change[];
  present: Present;
  /** Hosts whose agents are not run by this command, but elsewhere. */
  remote: string[];
}

export interface Outcome {
  changes: Change[];
  /** Null for a dry run. */
  status: StatusDocument | null;
  /** The user's file: null when it was not looked at. */
  file: { path: string; updated: boolean } | null;
}
