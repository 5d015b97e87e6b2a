/** How a command module declares itself to commander, and how its work is run. */
import type { Command } from 'commander';
import { Context, type CommonOptions, type Surroundings } from './context.ts';

/** The work of one command: its operands (absent ones are undefined) and options as commander parsed them. */
export type Work<O> = (context: Context, operands: (string | undefined)[], options: O) => Promise<void>;

export interface Declare {
  /** Gives `command` the options that all commands have, an example for its help, and its work. */
  <O extends object>(command: Command, example: string, work: Work<O>): void;
}

/** What each file in commands/ exports. */
export type Define = (command: Command, declare: Declare) => void;

/** The last context that was made, so that an end by Ctrl-C can say what goes on. */
export interface Running {
  context: Context | undefined;
}

export function declareWith(surroundings: Surroundings, running: Running): Declare {
  return <O extends object>(command: Command, example: string, work: Work<O>): void => {
    withCommonOptions(command);
    command.addHelpText('after', `\nExample${example.includes('\n') ? 's' : ''}:\n${example.split('\n').map((line) => `  ${line}`).join('\n')}\n`);
    command.action(async () => {
      const options = command.optsWithGlobals<O & CommonOptions>();
      const context = new Context(surroundings, options);
      running.context = context;
      await work(context, command.processedArgs as (string | undefined)[], options);
    });
  };
}

export function withCommonOptions(command: Command): Command {
  return command
    .option('--cluster <name>', 'the cluster that is meant (default: PGORBIT_CLUSTER, or the only one)')
    .option('--timeout <span>', 'how long to wait, such as 90s or 5min')
    .option('--json', 'one JSON document on standard output; messages go to standard error');
}

/** For an option that may be given several times. */
export const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
