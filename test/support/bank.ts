/**
 * Accounts between which money moves. Whatever happens to the cluster, the sum stays: on the primary, and in every
 * snapshot of every replica.
 */
import { Lifecycle, sleep } from '../../src/lifecycle.ts';
import { connectTo, connectToWriter, drop, type Target } from './connect.ts';

export interface BankOptions {
  /** Asked before every new connection. */
  targets: () => readonly Target[];
  accounts?: number;
  /** Each account's balance at the start; default 100. */
  balance?: number;
  table?: string;
}

export interface BankReport {
  transfers: number;
  /** Transfers that failed or are in doubt. */
  failures: number;
  /** Sums that were looked at, and those that were not the one that they must be. */
  checks: number;
  wrong: { at: Target['port']; sum: number | null }[];
}

const RETRY_MS = 10;

export class Bank {
  readonly report: BankReport = { transfers: 0, failures: 0, checks: 0, wrong: [] };
  readonly #options: Required<BankOptions>;
  readonly #life = new Lifecycle(() => {
    this.report.failures += 1;
  });

  private constructor(options: BankOptions) {
    this.#options = { accounts: 50, balance: 100, table: 'bank_accounts', ...options };
  }

  static async open(options: BankOptions): Promise<Bank> {
    const bank = new Bank(options);
    const { table, accounts, balance, targets } = bank.#options;
    const client = await connectToWriter(targets());
    if (client === null) throw new Error('no server accepts writes');
    await client.query(`drop table if exists ${table}; create table ${table} (id int primary key, balance int not null);
      insert into ${table} select i, ${balance} from generate_series(1, ${accounts}) i`);
    await client.end();
    return bank;
  }

  /** The sum that always holds. */
  get total(): number {
    return this.#options.accounts * this.#options.balance;
  }

  /** Moves money in so many sessions, and looks at the sum on every member once in `checkEveryMs`, until `stop`. */
  start(options: { sessions?: number; checkEveryMs?: number } = {}): void {
    for (let i = 0; i < (options.sessions ?? 2); i += 1) this.#life.run('transfers', (signal) => this.#transfer(signal));
    this.#life.every(options.checkEveryMs ?? 200, 'checking sums', () => this.check());
  }

  async stop(): Promise<BankReport> {
    await this.#life.stop();
    return this.report;
  }

  /** Looks at the sum on every member that answers; one where the table has not arrived yet does not count. */
  async check(): Promise<void> {
    await Promise.all(this.#options.targets().map(async (target) => {
      let sum: number | null;
      try {
        const client = await connectTo(target, { queryMs: 5000 });
        try {
          const { rows } = await client.query<{ sum: string | null }>(`select sum(balance) from ${this.#options.table}`);
          sum = rows[0]?.sum == null ? null : Number(rows[0].sum);
        } finally {
          drop(client);
        }
      } catch {
        return; // down, or no table there yet
      }
      this.report.checks += 1;
      if (sum !== this.total) this.report.wrong.push({ at: target.port, sum });
    }));
  }

  async #transfer(signal: AbortSignal): Promise<void> {
    const { table, accounts, targets } = this.#options;
    while (!signal.aborted) {
      const client = await connectToWriter(targets(), { connectMs: 500, queryMs: 3000 });
      if (client === null) {
        await sleep(RETRY_MS, signal);
        continue;
      }
      try {
        while (!signal.aborted) {
          // In ascending order, so that two transfers never wait for each other in a circle.
          const [a, b] = twoOf(accounts);
          const amount = Math.ceil(Math.random() * 10) * (Math.random() < 0.5 ? 1 : -1);
          await client.query(`begin; update ${table} set balance = balance - ${amount} where id = ${a}; update ${table} set balance = balance + ${amount} where id = ${b}; commit`);
          this.report.transfers += 1;
        }
        await client.end();
      } catch {
        this.report.failures += 1;
        drop(client);
      }
    }
  }
}

function twoOf(count: number): [number, number] {
  const first = 1 + Math.floor(Math.random() * count);
  const second = 1 + ((first + Math.floor(Math.random() * (count - 1))) % count);
  return first < second ? [first, second] : [second, first];
}
