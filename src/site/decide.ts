/**
 * What a site does next, from its own document, what the other one says, and its own groups. Pure. Each side decides
 * alone; whatever is lost or comes late on the way, writes are accepted on one side only, as long as the sides hear of
 * each other:
 *
 *   primary(e) ──hands over──► standby(e), with the ends        the only way to stop by itself
 *   standby(e) ──has the ends of a hand-over to it──► primary(e')   only what a site that has stopped has written down
 *   any(e) ──hears of a primary with e' > e──► standby(e')
 *
 * A site that handed over goes on only when the other one has said, durably, that it will not take over in that epoch.
 */
import { covers } from '../group/decide/context.ts';
import type { WalPosition } from '../group/model.ts';
import type { EventDraft } from '../observe/event.ts';
import type { SiteAnswer } from './answer.ts';
import { nextEpoch, type HandOver, type SiteDocument } from './document.ts';

/** A group of this site, as far as its record and fresh reports tell. */
export interface GroupFacts {
  /**
   * `ready`: its primary accepts writes; `checkpointed`, `stopped`: so far it came for the hand-over; `failed`: it is down in
   * another way; `unknown`: none of these, or nobody says.
   */
  state: 'ready' | 'checkpointed' | 'stopped' | 'failed' | 'unknown';
  /** With `stopped`: where its WAL ends. */
  end: WalPosition | null;
  /** What its leading member has. */
  position: WalPosition | null;
}

export type Timers = Readonly<Record<string, number>>;

export interface SiteInput {
  own: SiteDocument;
  /** This cluster's id. */
  self: string;
  /** The other site's newest answer, however old: a site never takes back what it said in an epoch. */
  answer: SiteAnswer | null;
  /** The groups that the manifest names. */
  groups: Readonly<Record<string, GroupFacts>>;
  /** ms, monotonic */
  now: number;
  timers: Timers;
}

export interface SiteDecision {
  /** Null: it is a cluster on its own from now on. */
  document: SiteDocument | null;
  timers: Timers;
  events: EventDraft[];
}

/** One step of a hand-over. */
const STEP_MS = 60_000;
/** Without a word of one of the primaries the hand-over is given up. */
const LOST_MS = 5_000;

export function decideSite(input: SiteInput): SiteDecision {
  const timers: Record<string, number> = {};
  const heldFor = (name: string, condition: boolean): number => {
    if (!condition) return 0;
    timers[name] = input.timers[name] ?? input.now;
    return input.now - timers[name];
  };
  for (const row of ROWS) {
    const found = row(input, heldFor);
    if (found !== null) return { ...found, timers };
  }
  return { document: input.own, timers, events: [] };
}

type Row = (input: SiteInput, heldFor: (name: string, condition: boolean) => number) => Pick<SiteDecision, 'document' | 'events'> | null;

/** The first that applies. */
const ROWS: Row[] = [
  // The other site forgot this one. A primary goes on alone; a standby does nothing by itself that would begin to write.
  ({ own, answer }) => {
    if (answer === null || answer.site !== null || own.role !== 'primary') return null;
    return { document: null, events: [told('warning', 'site-detached', `${answer.cluster} is a cluster on its own now: this one is, too`)] };
  },
  // The other site is the primary one of a later epoch.
  ({ own, answer }) => {
    const there = answer?.site ?? null;
    if (answer === null || there?.role !== 'primary' || there.epoch <= own.epoch) return null;
    const events = own.role === 'primary' || own.handOver !== null
      ? [told(own.role === 'primary' ? 'warning' : 'info', 'site-standby', `${answer.cluster} is the primary site of epoch ${there.epoch}: this site follows it`)] : [];
    return { document: { ...own, role: 'standby', epoch: there.epoch, handOver: null, ends: null, note: own.role === 'primary' ? `${answer.cluster} became the primary site in epoch ${there.epoch}` : null }, events };
  },
  takeOver,
  // Handed over, and the other site has said that it will never take it: this one goes on.
  ({ own, answer }) => {
    const there = answer?.site ?? null;
    if (own.role !== 'standby' || own.handOver?.step !== 'done' || there?.role !== 'standby' || there.declined !== own.handOver.epoch) return null;
    const epoch = nextEpoch(own.side, there.epoch, own.handOver.epoch);
    return {
      document: { ...own, role: 'primary', epoch, ends: own.handOver.ends, handOver: null, note: 'the hand-over was withdrawn' },
      events: [told('warning', 'site-primary', `the hand-over was withdrawn: this site goes on as the primary one in epoch ${epoch}`)],
    };
  },
  handOver,
];

/** The other site has stopped and says where its WAL ends, and this one has all of it. */
function takeOver({ own, self, answer, groups }: SiteInput): ReturnType<Row> {
  const offered = offer(own, self, answer);
  if (offered === null) return null;
  const names = Object.keys(groups);
  const complete = names.length > 0 && Object.keys(offered.ends).every((name) => names.includes(name));
  if (!complete || !names.every((name) => has(groups[name], offered.ends[name]))) return null;
  return {
    document: { ...own, role: 'primary', epoch: offered.epoch, handOver: null, ends: offered.ends, note: null },
    events: [told('info', 'site-primary', `this site has all that ${answer?.cluster} wrote: it is the primary site of epoch ${offered.epoch}`)],
  };
}

/** The hand-over to this site that the other one has completed and this one has not heard of before, or null. */
export function offer(own: SiteDocument, self: string, answer: SiteAnswer | null): HandOver | null {
  const there = answer?.site ?? null;
  if (own.role !== 'standby' || there?.role !== 'standby' || there.handOver === null) return null;
  const { to, epoch, step } = there.handOver;
  return to === self && step === 'done' && epoch > own.epoch ? there.handOver : null;
}

/** On the same timeline and no less: numbers of timelines are never given twice. */
function has(facts: GroupFacts | undefined, end: WalPosition | undefined): boolean {
  if (facts?.position == null || end === undefined) return false;
  return covers(facts.position, end);
}

/** One step after the other in all groups: written out, stopped, the ends written down together with the new role. */
function handOver({ own, groups, answer }: SiteInput, heldFor: Parameters<Row>[1]): ReturnType<Row> {
  if (own.role !== 'primary' || own.handOver === null || own.handOver.step === 'done') return null;
  const { step, epoch } = own.handOver;
  const entries = Object.entries(groups);
  const failed = entries.find(([name, facts]) => facts.state === 'failed' || heldFor(`unknown:${epoch}:${step}:${name}`, facts.state === 'unknown') > LOST_MS);
  const late = heldFor(`step:${epoch}:${step}`, true) > STEP_MS;
  const reached = step === 'checkpoint' ? 'checkpointed' : 'stopped';
  if (failed !== undefined || late || entries.length === 0) {
    const why = failed !== undefined ? `the primary of group ${failed[0]} ${failed[1].state === 'failed' ? 'did not stop cleanly' : 'is not heard of'}` : `the primaries did not ${step === 'stop' ? 'stop' : 'write everything out'} within ${STEP_MS / 1000} s`;
    const note = `the hand-over was taken back: ${why}`;
    return { document: { ...own, handOver: null, note }, events: [told('error', 'site-taken-back', `${note}; this site stays the primary one`)] };
  }
  if (!entries.every(([, facts]) => facts.state === reached)) return null;
  if (step === 'checkpoint') return { document: { ...own, handOver: { ...own.handOver, step: 'stop' } }, events: [] };
  const ends: Record<string, WalPosition> = {};
  for (const [name, { end }] of entries) {
    if (end === null) return null;
    ends[name] = end;
  }
  return {
    document: { ...own, role: 'standby', handOver: { ...own.handOver, step: 'done', ends }, ends: null },
    events: [told('info', 'site-handed-over', `this site accepts no more writes; ${answer?.cluster ?? own.peer.cluster} takes over from ${Object.entries(ends).map(([name, end]) => `${name} at ${end.lsn}`).join(', ')}`)],
  };
}

const told = (level: EventDraft['level'], kind: string, message: string): EventDraft => ({ level, kind, message });
