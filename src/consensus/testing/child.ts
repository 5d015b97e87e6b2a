/** One agent as a process of its own, for frozen.test.ts: IPC is its network, and it writes down when it leads. */
import { FileLog } from '../log/file-log.ts';
import { RaftStore } from '../raft-store.ts';

const [self, dir, hosts] = process.argv.slice(2) as [string, string, string];
const storage = await FileLog.open(dir);
let receive: (from: string, message: unknown) => void = () => {};
const store = new RaftStore({
  self, storage,
  transport: {
    send: (to, message) => process.send!({ to, message }),
    onMessage: (handler) => {
      receive = handler;
    },
  },
  onFatal: (error) => {
    throw error;
  },
  onError: (error) => {
    throw error;
  },
});
if (storage.blank) await store.bootstrap(hosts.split(','));
process.on('message', ({ from, message }: { from: string; message: unknown }) => receive(from, message));
process.on('disconnect', () => process.exit(0));
store.start();

/** CLOCK_MONOTONIC is one for all processes of a machine, so the stretches of several can be compared. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6;
let stretch: { from: number; to: number; term: number } | null = null;
const sample = (): void => {
  const before = now();
  const { self: leading, term } = store.leadership();
  if (leading && stretch?.term === term) stretch.to = before;
  else {
    if (stretch !== null) process.send!({ led: stretch });
    stretch = leading ? { from: now(), to: before, term } : null;
    if (leading) process.send!({ leads: term });
  }
  setImmediate(() => setTimeout(sample, 1));
};
sample();
