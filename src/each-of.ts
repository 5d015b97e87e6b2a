/**
 * Runs `work` on all, so many at a time; the first error stops the rest, aborts `failed` for those that are under way, and
 * is thrown when none runs any more.
 */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T, failed: AbortSignal) => Promise<void>): Promise<void> {
  const queue = items.values();
  const stop = new AbortController();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (stop.signal.aborted) return;
      try {
        await work(item, stop.signal);
      } catch (error) {
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  stop.signal.throwIfAborted();
}
