/** For tests: reach() in a process with fewer capabilities. Argument: the folder; prints the answer or the error report. */
import { toReport } from '../../errors.ts';
import { postgresOsUser } from '../osuser.ts';
import { reach } from '../reach.ts';

console.log(JSON.stringify(await reach(process.argv[2]!, await postgresOsUser()).catch(toReport)));
