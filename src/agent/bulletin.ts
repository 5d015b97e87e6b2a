/**
 * What every node's views show: the leading agent tells all agents the cluster's status, and each writes it beside the
 * data of its own members. Nothing of it goes through WAL.
 */
import type { StatusDocument } from './api.ts';
import type { HostMembers } from './members.ts';
import type { OsUser } from '../engine/osuser.ts';
import { ViewsFeed } from '../group/views/feed.ts';
import type { EventLog } from '../observe/event-log.ts';
import type { Log } from '../observe/log.ts';

/** An unchanged status is told again after this long: the views say how old they are. ms */
const REPEAT_MS = 4_000;

export interface BulletinOptions {
  owner: OsUser | null;
  members: HostMembers;
  events: EventLog;
  announce: (document: StatusDocument) => void;
  log: Log;
  /** ms, monotonic */
  now: () => number;
}

export class Bulletin {
  readonly #options: BulletinOptions;
  readonly #feed: ViewsFeed;
  #told = { text: '', at: -Infinity };

  constructor(options: BulletinOptions) {
    const { owner, now, log } = options;
    this.#options = options;
    this.#feed = new ViewsFeed({ owner, now, date: () => new Date(), onError: (error, what) => log.warn({ err: error, what }, 'the views on this host grow old') });
  }

  /** As the leading agent: to all others, and to this host's own members. */
  async publish(document: StatusDocument): Promise<void> {
    const text = JSON.stringify(document);
    const { now, announce } = this.#options;
    if (text === this.#told.text && now() - this.#told.at < REPEAT_MS) return;
    this.#told = { text, at: now() };
    announce(document);
    await this.take(document);
  }

  take(document: StatusDocument): Promise<void> {
    const { events, members } = this.#options;
    members.archived(document);
    return this.#feed.update(document, events.newest(), members.dataFolders());
  }
}
