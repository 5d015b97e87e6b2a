/** Whether anybody listens at an address. */
import { connect } from 'node:net';

/**
 * Tries to connect, and says nothing to who answers. @param done called once: null where somebody accepted, else why nobody did;
 * never after the returned function, which ends the try.
 */
export function knock(host: string, port: number, timeoutMs: number, done: (failure: string | null) => void): () => void {
  const socket = connect({ host, port });
  let over = false;
  const end = (failure: string | null): void => {
    socket.destroy();
    if (over) return;
    over = true;
    done(failure);
  };
  socket.setTimeout(timeoutMs, () => end(`no answer within ${timeoutMs} ms`));
  socket.once('connect', () => end(null));
  socket.once('error', (error) => end(error.message));
  return () => {
    over = true;
    socket.destroy();
  };
}
