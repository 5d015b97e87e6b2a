/** The command line: only the command that is asked for is loaded, so that help comes at once. */
import { Command, CommanderError } from 'commander';
import { PgorbitError, toReport } from '../errors.ts';
import { declareWith, withCommonOptions, type Running } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import { Interrupted, type Surroundings } from './context.ts';
import { Output, renderError } from './output.ts';
import { styleFor } from './print/style.ts';
import { version } from '../version.ts';

/** Exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it. */
export const INTERRUPTED = 130;
const WITH_VALUE = new Set(['--cluster', '--timeout']);

/** The command that the arguments name, or undefined. Pure. */
export function commandIn(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] as string;
    if (WITH_VALUE.has(word)) i += 1;
    else if (word === 'help') continue;
    else if (!word.startsWith('-')) return word;
  }
  return undefined;
}

/** Is `--json` among the options (what follows `--` are operands)? Pure. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).includes('--json');
}

/** Runs the command line and returns its exit code; whatever goes wrong is printed here and nowhere else. */
export async function runCommandLine(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const running: Running = { context: undefined };
  try {
    const program = await buildProgram(argv, surroundings, running);
    await program.parseAsync([...argv], { from: 'user' });
    return surroundings.signal.aborted ? INTERRUPTED : 0;
  } catch (error) {
    return report(error, argv, surroundings, running);
  }
}

async function buildProgram(argv: readonly string[], surroundings: Surroundings, running: Running): Promise<Command> {
  const program = new Command('pgorbit')
    .description('Shared-storage clusters of ordinary PostgreSQL: one writer, many readers, one command each.')
    .usage('COMMAND [options]')
    .version(version(), '-V, --version', 'the version of pgorbit')
    .helpOption('-h, --help', 'this help')
    .addHelpCommand(new Command('help').argument('[command]').summary('the help of a command').description('The help of a command.').helpGroup('Care:'))
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (text) => void surroundings.stdout.write(text),
      // Errors are printed by report(), in one form for all.
      outputError: () => undefined,
      writeErr: (text) => void surroundings.stderr.write(text),
    });
  withCommonOptions(program);
  const wanted = commandIn(argv);
  const declare = declareWith(surroundings, running);
  for (const entry of COMMANDS) {
    const command = program.command(entry.name, { hidden: entry.hidden === true }).description(sentence(entry.summary)).summary(entry.summary).helpGroup(entry.group);
    if (entry.name === wanted) (await entry.load()).define(command, declare);
  }
  program.addHelpText('after', `
PGORBIT_HOME (default ~/.pgorbit) says where pgorbit keeps its clusters.
Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused because it would be unsafe, 4 timed out.

Begin with:
  pgorbit up        a demo cluster: one primary and two replicas on a shared volume
  pgorbit status    how it is`);
  return program;
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function report(error: unknown, argv: readonly string[], surroundings: Surroundings, running: Running): number {
  const { stderr, stdout, env } = surroundings;
  const style = styleFor(stderr, env);
  const context = running.context;
  context?.progress.fail();
  if (surroundings.signal.aborted || error instanceof Interrupted) {
    stderr.write(`\nEnded by a signal. ${context?.background ?? 'Nothing was left under way.'}\n`);
    return INTERRUPTED;
  }
  if (error instanceof CommanderError && (error.exitCode === 0 || (error.code === 'commander.help' && argv.length === 0))) return 0;
  const known = withHelp(error, argv);
  const shape = toReport(known);
  if (env['PGORBIT_DEBUG'] && error instanceof Error) stderr.write(`${error.stack}\n${error.cause instanceof Error ? `caused by ${error.cause.stack}\n` : ''}`);
  stderr.write(renderError(shape, style));
  (context?.out ?? new Output(stdout, wantsJson(argv))).failure(shape);
  return known instanceof PgorbitError ? known.exitCode : 1;
}

/** Commander's errors as ours, and for wrong use the command that says what is right. */
function withHelp(error: unknown, argv: readonly string[]): unknown {
  const command = commandIn(argv);
  const named = COMMANDS.some((entry) => entry.name === command) ? ` ${command}` : '';
  const hint = `see \`pgorbit${named} --help\``;
  if (error instanceof CommanderError) {
    return new PgorbitError('usage', error.code === 'commander.help' ? `\`pgorbit${named}\` needs to be told more` : error.message.replace(/^error: /, ''), { hint });
  }
  return error instanceof PgorbitError && error.code === 'usage' && error.hint === undefined ? new PgorbitError('usage', error.message, { hint, cause: error }) : error;
}
