/**
 * The arithmetic of a quorum: how many must acknowledge a commit, how many must promise a term, and the names that
 * carry both. Pure.
 */

/** Acknowledgements that a commit needs besides the primary's own flush: with it they are a majority of the voters. */
export const acknowledgementsOf = (voters: number): number => Math.floor(voters / 2);

/** In the name of a member that follows without a vote: no term has this number. */
export const NO_TERM = 0;

/** Is it the name of a member whose acknowledgements count? */
export const followsByTerm = (name: string): boolean => !name.endsWith(`@${NO_TERM}`);

/**
 * The value of synchronous_standby_names ("Replication" settings in PostgreSQL's manual). Names carry the term, so that
 * what a member acknowledges under an older one never counts. Empty where the primary alone decides.
 */
export function synchronousNames(voters: readonly string[], primary: string, term: number): string {
  const others = voters.filter((name) => name !== primary).sort();
  // On shared storage a failover may choose a member that does not vote yet.
  const needed = acknowledgementsOf(voters.length === 0 ? 0 : others.length + 1);
  return needed === 0 ? '' : `ANY ${needed} (${others.map((name) => `"${name}@${term}"`).join(', ')})`;
}

/**
 * May those who promised elect? A commit that was acknowledged lies on the primary of its term and on k others of the
 * V voters. So either V - k voters have promised: they meet every such set, and fewer than k are left that could still
 * acknowledge anything. Or everybody who may have accepted writes has promised: nobody has what none of them has.
 */
export function mayElect(voters: readonly string[], writers: readonly string[], promised: readonly string[]): boolean {
  const count = promised.filter((name) => voters.includes(name)).length;
  const enough = voters.length - acknowledgementsOf(voters.length);
  return count >= enough || (writers.length > 0 && writers.every((name) => promised.includes(name)));
}
