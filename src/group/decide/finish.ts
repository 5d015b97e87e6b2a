/** How an operation ends: its result stays in the record for whoever waits for it. */
import type { Context } from './context.ts';
import type { OperationResult } from '../model.ts';

/** How many ended operations a record remembers, for clients that wait. */
export const RESULTS_KEPT = 10;

/** Ends the running operation, or the one that a promotion carries. */
export function finish(context: Context, ok: boolean, message: string): void {
  const operation = context.record.operation;
  if (operation === null) return;
  const result: OperationResult = { id: operation.id, kind: operation.kind, ok, message };
  context.tell({ level: ok ? 'info' : 'error', kind: `${operation.kind}-${ok ? 'done' : 'failed'}`, operation: operation.id, message });
  context.change({ operation: null, results: [result, ...context.record.results].slice(0, RESULTS_KEPT) });
}
