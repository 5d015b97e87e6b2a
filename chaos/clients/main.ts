/** A client's process: `main.ts load|watch`, told what to do by its parent, ended with it. */
import { Lifecycle } from '../../src/lifecycle.ts';
import { startLoad } from './load.ts';
import { emptyStory, type News, type Order } from './protocol.ts';
import { count } from './session.ts';
import { startWatch } from './watch.ts';

const COUNT_MS = 500;
const begin = process.argv[2] === 'watch' ? startWatch : startLoad;
let story = emptyStory();
let life: Lifecycle | null = null;

const tell = (news: News): void => void process.send?.(news);

process.on('message', (order: Order) => {
  if (order.kind === 'stop') void stop();
  else start(order);
});
process.on('disconnect', () => process.exit(0));

function start(order: Order & { kind: 'start' }): void {
  const fresh = emptyStory();
  story = fresh;
  life = new Lifecycle((error) => count(fresh, error));
  life.every(COUNT_MS, 'telling', () => tell({ kind: 'count', acks: fresh.acks.length }));
  begin(life, fresh, order.places, order.first);
}

async function stop(): Promise<void> {
  await life?.stop();
  tell({ kind: 'story', story });
}
