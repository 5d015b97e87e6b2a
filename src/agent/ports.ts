/** Finding TCP ports that a server can take. */
import { createServer, isIPv6 } from 'node:net';
import { knock } from '../engine/knock.ts';
import { errnoOf, PgorbitError } from '../errors.ts';

const LAST_PORT = 65_535;
/** Long enough for a listener on this very machine. */
const CONNECT_MS = 500;

export interface PortWish {
  /** An address of this machine. */
  address: string;
  from: number;
  /** Ports that are promised to others. */
  except: readonly number[];
  /** Only `from` itself will do. */
  exactly: boolean;
}

/**
 * The first free port at or above `from`, or null when there is none (with `exactly`: when `from` is taken). Free
 * means that it can be bound, as PostgreSQL binds (SO_REUSEADDR, so that TIME_WAIT does not count), and that nothing
 * answers on it. Nothing is reserved: another process may take it a moment later.
 * @throws PgorbitError `host-unreachable` for an address that is not this machine's, `permission` where `exactly` asks
 *   for a port that this user may not bind.
 */
export async function findPort(wish: PortWish): Promise<number | null> {
  const last = wish.exactly ? wish.from : LAST_PORT;
  for (let port = wish.from; port <= last; port++) {
    if (wish.except.includes(port)) continue;
    if ((await canBind(wish, port)) && !(await answers(wish.address, port))) return port;
  }
  return null;
}

function canBind(wish: PortWish, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      const code = errnoOf(error);
      if (code === 'EADDRINUSE' || (code === 'EACCES' && !wish.exactly)) resolve(false);
      else reject(listenError(error, wish.address, port));
    });
    server.listen({ host: wish.address, port, exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}

/** True when something accepts connections there, perhaps on another of the addresses that lead here. */
function answers(address: string, port: number): Promise<boolean> {
  const host = address === '0.0.0.0' ? '127.0.0.1' : isIPv6(address) && /^[0:]+$/.test(address) ? '::1' : address;
  return new Promise((resolve) => {
    knock(host, port, CONNECT_MS, (failure) => resolve(failure === null));
  });
}

/** Why nothing can listen there, in words; an error that says nothing of the kind comes back as it is. */
export function listenError(error: Error, address: string, port: number): Error {
  const where = `${address}:${port}`;
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new PgorbitError('port-in-use', `Something else already listens on ${where}.`, {
        hint: `Find it with \`ss -ltnp 'sport = :${port}'\`, or give the host another port in the manifest.`,
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new PgorbitError('host-unreachable', `${address} is not an address of this machine.`, {
        hint: "Correct the host's address in the manifest, or start the agent on the machine that has it.",
        cause: error,
      });
    case 'EACCES':
      return new PgorbitError('permission', `This user may not listen on ${where}.`, { hint: 'Choose a port above 1023.', cause: error });
    default:
      return error;
  }
}
