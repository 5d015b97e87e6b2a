/**
 * What a test or a bench made outside itself goes away with it, also after Ctrl-C: whoever makes something registers
 * here how it is undone, and undoes it by the handle that it gets.
 */

type Undo = () => Promise<void>;

const pending: Undo[] = [];
let listening = false;

/** Registers `undo`; the handle runs it once, now, and forgets it. Its error goes to whoever calls the handle. */
export function cleanUpWith(undo: Undo): Undo {
  listen();
  pending.push(undo);
  return async () => {
    const at = pending.indexOf(undo);
    if (at === -1) return;
    pending.splice(at, 1);
    await undo();
  };
}

/** Undoes all that is registered, the newest first; what can't be undone is told and does not stop the rest. */
export async function cleanUpAll(): Promise<void> {
  for (let undo = pending.pop(); undo !== undefined; undo = pending.pop()) {
    try {
      await undo();
    } catch (error) {
      console.error(`clean-up failed: ${(error as Error).message}`);
    }
  }
}

function listen(): void {
  if (listening) return;
  listening = true;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      console.error(`\n${signal}: cleaning up`);
      void cleanUpAll().then(() => process.exit(130));
    });
  }
}
