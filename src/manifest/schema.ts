/**
 * The form of a manifest: which keys there are and what each may hold. A schema's own error message is what would
 * have been right; structure.ts adds what is wrong. The JSON Schema for editors is generated from this
 * (json-schema.ts), so every key has a description.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { ARCHIVE, ENGINE, GROUP, MEMBER, VOLUME } from './defaults.ts';
import { NAME, NAME_RULE, SETTING_NAME } from './names.ts';
import { formatDuration, formatSize, parseDuration, parseRatio, parseSize, PRIVILEGED_PORTS, SMALLEST_VOLUME } from './units.ts';
import { ROLE_WORDS, roleOf } from './words.ts';

/** An object that knows its keys; for an unknown one the message is their list, which structure.ts turns into a guess. */
function mapping<S extends z.core.$ZodLooseShape>(expected: string, shape: S) {
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : expected) });
}

const name = (of: string) =>
  z.string({ error: NAME_RULE }).regex(NAME, { error: NAME_RULE }).describe(`The ${of}'s name: ${NAME_RULE}.`);

/** A mapping by name. Editors check the names by `propertyNames`, the loader in names.ts: zod would not look behind a bad one. */
const named = <V extends z.ZodType>(pattern: RegExp, value: V, expected: string, of: string) =>
  z.record(z.string(), value, { error: expected }).meta({ description: of, propertyNames: { pattern: pattern.source } });

const portError = (issue: { input?: unknown }): string =>
  typeof issue.input === 'number' && issue.input > 0 && issue.input < PRIVILEGED_PORTS
    ? 'a port from 1024 to 65535: those below are for programs that run as root, which PostgreSQL does not'
    : 'a port from 1024 to 65535';

function port(of: string) {
  const error = portError;
  return z.number({ error }).int({ error }).min(PRIVILEGED_PORTS, { error }).max(65535, { error }).describe(of);
}

const path = (expected: string, of: string) =>
  z.string({ error: expected }).min(1, { error: expected })
    .refine((p) => !p.startsWith('~'), { error: 'the folder in full: `~` means a home only to a shell' }).describe(of);

/** A quantity with its unit; `least` and `most` in what `read` gives. */
function quantity(read: (text: string) => number | null, write: (value: number) => string, form: string, least: number, most: number, of: string) {
  const range = least === 0 ? `at most ${write(most)}` : `from ${write(least)} to ${write(most)}`;
  return z.string({ error: form })
    .refine((text) => read(text) !== null, { error: form })
    .refine((text) => (read(text) ?? least) >= least && (read(text) ?? most) <= most, { error: range })
    .describe(of);
}
const HOUR = 3_600_000;
const MB = 1024 ** 2;
const duration = (least: number, most: number, standard: number, of: string) =>
  quantity(parseDuration, formatDuration, 'a time with its unit: `2s`, `500ms`, `15min`', least, most, `${of} Default ${formatDuration(standard)}.`).optional();
const bytes = (least: number, most: number, standard: number, of: string) =>
  quantity(parseSize, formatSize, 'a size with its unit: `16MB`', least, most, `${of} Default ${formatSize(standard)}.`).optional();

const role = z.string({ error: 'a role' })
  .refine((word) => roleOf(word) !== undefined, { error: 'a role', params: { words: ['primary', 'replica', 'logger', 'standby'], known: Object.keys(ROLE_WORDS) } })
  .meta({ enum: Object.keys(ROLE_WORDS), description: `primary (also rw, leader, master), replica (ro, follower, slave), standby (learner), logger (datamax, witness); in any case of letters. Default ${MEMBER.role}.` });

const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;
const isAddress = (text: string): boolean => isIP(text) !== 0 || (HOST_NAME.test(text) && !/^[0-9.]+$/.test(text));
const addressError = (issue: { input?: unknown }): string => {
  const found = typeof issue.input === 'string' ? /^([^:]+):(\d+)$/.exec(issue.input) : null;
  return found ? `the port apart: \`{ address: ${found[1]}, port: ${found[2]} }\`` : 'an IP address or a host name';
};
const address = z.string({ error: addressError }).refine(isAddress, { error: addressError })
  .describe('IP address or name under which the other hosts and the clients reach this one.');

const Host = z.union([address, mapping('an address, or `{ address, port }`', {
  address,
  port: port("The agent's port. Default: a free one, chosen when the agent first starts.").optional(),
})], { error: 'an address, or `{ address, port }`' }).describe('A machine that runs one agent; on one machine several agents play several hosts.');

const volumePath = path('a folder', 'The folder, absolute or relative to the manifest; made where it is not there.');
const Volume = z.union([volumePath, mapping('a folder, or `{ path, driver, size }`', {
  path: volumePath,
  driver: z.enum(['auto', 'btrfs', 'reflink', 'copy'], { error: 'a driver' })
    .describe(`How members are cloned: btrfs (snapshots), reflink (XFS, OCFS2, NFS 4.2), copy (anywhere, slowly), auto (the best that works). Default ${VOLUME.driver}.`).optional(),
  size: z.string({ error: 'a size with its unit: `10GB`' })
    .refine((s) => parseSize(s) !== null, { error: 'a size in kB, MB, GB or TB: `10GB`' })
    .refine((s) => (parseSize(s) ?? SMALLEST_VOLUME) >= SMALLEST_VOLUME, { error: 'at least 512MB: a fresh member and its WAL need that' })
    .describe('Makes the volume in an image file of this size, allocated in full. Without it the folder is used as it is.').optional(),
})], { error: 'a folder, or `{ path, driver, size }`' }).describe('A file system that all members of a shared group live on.');

/** PostgreSQL's own limits of MAX_RATE (backup/basebackup.h). */
const RATE = { least: 32 * 1024, most: 1024 ** 3 };

const Member = z.union([role, mapping('a role, or `{ host, role, port }`', {
  host: name('host').optional(),
  role: role.optional(),
  port: port("The port of PostgreSQL, or of the logger. Default: a free one, chosen when the member is made.").optional(),
  volume: name('volume').describe("A standby's own volume: apart from the one that it protects against losing.").optional(),
  path: path('a folder', "The folder of a member on local storage, absolute or relative to the manifest. Default: in the agent's home.").optional(),
  source: name('source').describe("Whom a standby takes its WAL from: a member's name, or primary, replica, logger, standby; while that one is away, the primary. Default: the primary.").optional(),
  rate: quantity(parseSize, formatSize, 'a size with its unit: `50MB`', RATE.least, RATE.most, "How much of its source's data a standby's copy may read in a second. Default: as fast as it goes.").optional(),
})], { error: 'a role, or `{ host, role, port }`' }).describe('A node of the group: `{ host, role, port }`; where there is one host only, the role alone.');

const settingValue = 'a text, a number, true or false';
const SETTINGS = 'PostgreSQL settings of every member, as in postgresql.conf; true and false become on and off.';
const Settings = named(SETTING_NAME, z.union([z.string(), z.number(), z.boolean()], { error: settingValue }),
  'settings as `name: value`', SETTINGS);

const byName = 'a mapping: each member with its name, as in `n1: { host: h1, role: primary }`';

const LOGGER = 'How loggers keep WAL.';
const Logger = mapping('a mapping: `{ keep: 1GB, limit: 8GB }`', {
  purge: z.boolean({ error: '`true` or `false`' }).describe(`false keeps all WAL. Default ${GROUP.logger.purge}.`).optional(),
  purge_every: duration(100, 24 * HOUR, GROUP.logger.purgeEveryMs, 'The time between looks at what may go.'),
  keep: bytes(16 * MB, 2 ** 50, GROUP.logger.keepBytes, 'WAL that is kept however old.'),
  keep_for: duration(0, 10_000 * HOUR, GROUP.logger.keepMs, 'Younger WAL is kept beyond `keep` as well, up to `limit`.'),
  limit: bytes(16 * MB, 2 ** 50, GROUP.logger.maxBytes, 'Beyond it only what somebody still needs is kept.'),
  send_timeout: duration(1000, HOUR, GROUP.logger.sendTimeoutMs, 'A follower of the logger that says nothing for so long is cut off.'),
  packet: bytes(8192, MB, GROUP.logger.packetBytes, 'The largest WAL message to a follower.'),
});

const repository = path('a folder, or `s3://BUCKET/PREFIX`', 'The repository: a folder (absolute or relative to the manifest) that is the same on every host that may archive, a mounted one, say; or s3://BUCKET/PREFIX.');
const Archive = z.union([repository, mapping('a repository, or `{ to, source, flush, hosts }`', {
  to: repository,
  source: z.enum(['primary', 'logger', 'replica'], { error: 'whose WAL is archived' })
    .describe('Whose WAL is archived: primary, logger, replica; while none of them is well, the primary. Default: logger where the group has one, else primary.').optional(),
  flush: quantity(parseDuration, formatDuration, 'a time with its unit: `1s`', 100, HOUR, `How often what has arrived of the unfinished segment is made durable there. Default ${formatDuration(ARCHIVE.flushMs)}; ${formatDuration(ARCHIVE.objectStoreFlushMs)} where it is no folder.`).optional(),
  hosts: z.array(name('host'), { error: 'a list of hosts: `[h1, h2]`' }).min(1, { error: 'at least one host' }).describe('The hosts that may archive. Default: all that have a member of the group.').optional(),
})], { error: 'a repository, or `{ to, source, flush, hosts }`' });

const Group = mapping('a group: `storage`, `volume`, `members`', {
  storage: z.enum(['shared', 'local'], { error: 'a kind of storage' })
    .describe(`shared: all members on one copy-on-write volume; local: each on storage of its own. Default ${GROUP.storage}.`).optional(),
  volume: name('volume').describe('The volume of a group with shared storage.').optional(),
  commit: z.enum(['async', 'quorum'], { error: 'when a commit is acknowledged' })
    .describe(`async: when the primary has flushed it; quorum: when a majority of the voters has. Default ${GROUP.commit}.`).optional(),
  failover: z.enum(['automatic', 'manual'], { error: 'how a dead primary is replaced' })
    .describe(`automatic: at once; manual: it is restarted in place, and promoted over only by a person. Default ${GROUP.failover}.`).optional(),
  reclone_above: z.union([
    z.number({ error: 'a share' }).min(0, { error: 'a share from 0 to 1, or from 0% to 100%' }).max(1, { error: 'a share from 0 to 1; a percentage as text: `25%`' }),
    z.string().refine((s) => parseRatio(s) !== null, { error: 'a share from 0 to 1, or from 0% to 100%' }).meta({ pattern: '^\\d+(\\.\\d+)?%$' }),
  ], { error: 'a share: `0.25` or `25%`' })
    .describe(`A replica that alone occupies more than this share of the data is cloned again; 0 turns it off. Default ${GROUP.recloneAbove}.`).optional(),
  checkpoint: z.enum(['fast', 'spread'], { error: 'the kind of checkpoint before a clone' })
    .describe(`fast: at once, with a burst of writes; spread: at the pace of checkpoint_completion_target. Default ${GROUP.checkpoint}.`).optional(),
  election_timeout: duration(1000, HOUR, GROUP.electionTimeoutMs, "How long nothing may be heard of a primary's host before another takes over."),
  election_delay: duration(0, 24 * HOUR, GROUP.electionDelayMs, 'A further wait before a lost primary is replaced: one that comes back within it stays.'),
  preferred_primary: name('member').describe("The member to which the primary's role goes back by itself once it keeps up. Default: none.").optional(),
  membership_timeout: duration(1000, 24 * HOUR, GROUP.membershipTimeoutMs, 'A change of the voters that is not confirmed within this time is taken back.'),
  join_lag: bytes(1024, 2 ** 50, GROUP.joinLagBytes, 'A new member votes once it lacks no more WAL than this.'),
  electable_lag: bytes(0, 2 ** 50, GROUP.electableLagBytes, 'With `commit: async`: a replica that lacks more than this is not promoted by itself.'),
  without_majority: z.enum(['stop', 'run'], { error: 'what a primary does without a majority of the agents' })
    .describe(`What a healthy primary on local storage does when its agent has lost the majority of the agents. Default ${GROUP.withoutMajority}.`).optional(),
  logger: Logger.nullable().describe(LOGGER).optional(),
  archive: Archive.nullable().describe("Where the group's WAL is archived, by the cluster itself. Default: nowhere.").optional(),
  // Empty once every line of it is a comment.
  settings: Settings.nullable().describe(SETTINGS).optional(),
  members: named(NAME, Member, byName, 'The members by name; exactly one is the primary.'),
}).describe('One PostgreSQL database system and its members.');

const versionError = (issue: { input?: unknown }): string =>
  typeof issue.input === 'number' && !Number.isInteger(issue.input) ? 'the major version alone: 15, 16, 17 or 18' : 'a major version: 15, 16, 17 or 18';

export const ManifestSchema = mapping('a manifest: `cluster`, `hosts`, `volumes`, `groups`', {
  cluster: name('cluster'),
  standby_of: name('other cluster').describe('The cluster that this one begins as a standby of, group by group of the same names; this PGORBIT_HOME manages it, too. Who is primary later is state, not manifest. Default: none.').optional(),
  engine: mapping('an engine: `{ kind, version, bin }`', {
    kind: z.enum(['postgres', 'polardb'], { error: 'an engine' }).describe(`The engine. Default ${ENGINE.kind}.`).optional(),
    version: z.number({ error: versionError }).int({ error: versionError }).min(15, { error: versionError }).max(18, { error: versionError })
      .describe('Major version. Default: the newest that is found; the embedded one last.').optional(),
    bin: path('a folder with `postgres` and `initdb`', 'A folder with postgres and initdb, absolute or relative to the manifest. Default: searched for.').optional(),
  }).describe('The PostgreSQL that runs the members.').optional(),
  hosts: named(NAME, Host, 'hosts as `h1: 127.0.0.1`', 'The hosts by name.'),
  volumes: named(NAME, Volume, 'volumes as `main: ./volume`', 'The shared volumes by name.').optional(),
  groups: named(NAME, Group, 'groups, each with its name', 'The groups by name.'),
}).describe('A cluster as pgorbit builds it.');

/** The manifest as it was written: short forms, other words for roles, nothing filled in. */
export type Manifest = z.infer<typeof ManifestSchema>;
