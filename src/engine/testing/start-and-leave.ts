/** For tests: an agent that starts PostgreSQL and dies. Argument: the start options as JSON; prints the server's pid. */
import { findCgroup } from '../cgroup.ts';
import { startPostgres, type StartOptions } from '../postmaster.ts';

const { cgroupName, ...options } = JSON.parse(process.argv[2]!) as StartOptions & { cgroupName: string | null };
const cgroup = cgroupName === null ? null : await findCgroup(cgroupName);
const postmaster = await startPostgres({ ...options, cgroup });
console.log(postmaster.id.pid);
process.kill(process.pid, 'SIGKILL');
