/** The cluster's documents as this agent knows them, kept fresh by the store's watch. */
import type { ClusterDocument } from './api.ts';
import type { AgentsDocument } from './directory.ts';
import type { AuthorityDocument } from './identity/authority-document.ts';
import type { TokensDocument } from './identity/tokens.ts';
import type { GroupRecord, SecretsDocument } from '../group/model.ts';
import type { SiteDocument } from '../site/document.ts';
import { AGENTS_KEY, AUTHORITY_KEY, groupKey, SECRETS_KEY, SITE_KEY, SPEC_KEY, TOKENS_KEY, type StateStore } from '../state/store.ts';

export interface RecordAt {
  revision: number;
  record: GroupRecord;
}

export class ClusterView {
  cluster: { revision: number; document: ClusterDocument } | null = null;
  secrets: SecretsDocument | null = null;
  /** Null: the cluster is on its own. */
  site: { revision: number; document: SiteDocument } | null = null;
  agents: AgentsDocument | null = null;
  authority: AuthorityDocument | null = null;
  tokens: TokensDocument | null = null;
  readonly groups = new Map<string, RecordAt>();
  readonly #unwatch: () => void;

  /** @param onChange is called after each change of any document. */
  constructor(store: StateStore, onChange: () => void) {
    this.#unwatch = store.watch('', (change) => {
      this.#take(change.key, change.revision, change.value);
      onChange();
    });
  }

  close(): void {
    this.#unwatch();
  }

  #take(key: string, revision: number, value: unknown): void {
    if (key === SPEC_KEY) this.cluster = value === null ? null : { revision, document: value as ClusterDocument };
    else if (key === SECRETS_KEY) this.secrets = value as SecretsDocument | null;
    else if (key === SITE_KEY) this.site = value === null ? null : { revision, document: value as SiteDocument };
    else if (key === AGENTS_KEY) this.agents = value as AgentsDocument | null;
    else if (key === AUTHORITY_KEY) this.authority = value as AuthorityDocument | null;
    else if (key === TOKENS_KEY) this.tokens = value as TokensDocument | null;
    else if (key.startsWith(groupKey(''))) {
      const group = key.slice(groupKey('').length);
      if (value === null) this.groups.delete(group);
      else this.groups.set(group, { revision, record: value as GroupRecord });
    }
  }
}
