// The tree of commands and their options; what they do is loaded when one is called.

import { Command, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { addBrokerCommands } from './program-broker.ts';
import { addDrain } from './program-drain.ts';
import { addDrill } from './program-drill.ts';
import { addRotateKeys } from './program-rotate-keys.ts';
import { addShow, nodeOption, siteOption, statusPortOption } from './program-show.ts';
import { DIRECTORIES } from './directories.ts';
import { outputOption } from './output-option.ts';
import type { Context } from './context.ts';
import type { JoinOptions } from './join.ts';
import type { LeaveOptions } from './leave.ts';
import type { PlanOptions } from './plan.ts';
import type { VersionOptions } from './version.ts';

/** The whole command line of one invocation. Nothing is done before {@link Command.parseAsync}. */
export function buildProgram(context: Context): Command {
  const program = new Command('clusterctl')
    .description('Join clusters and hosts into one network, and look at it')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .option('--debug', 'print stack traces of errors')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.terminal.out(text),
      writeErr: (text) => context.terminal.say(text.trimEnd()),
      // Said by main.ts, in our own words.
      outputError: () => {},
    });
  addBrokerCommands(program, context);
  addJoin(program, context);
  addLeave(program, context);
  addShow(program, context);
  addDrain(program, context);
  addDrill(program, context);
  addRotateKeys(program, context);
  addPlan(program, context);
  program
    .command('version')
    .description('print the versions of clusterctl and of the programs that it works with')
    .addOption(outputOption())
    .action(async (options: VersionOptions) => (await import('./version.ts')).version(context, options));
  return program;
}

function addJoin(program: Command, context: Context): void {
  program
    .command('join')
    .description('join the clusterset as the cluster that site.yaml describes')
    .option('--token <token>', 'join token; others on this host can see it while the command runs')
    .option('--token-file <file>', 'read the token from a file, or from standard input with "-"')
    .option('--site <directory>', 'site directory', DIRECTORIES.site)
    .option('--secrets <directory>', 'secrets directory', DIRECTORIES.secrets)
    .addOption(nodeOption())
    .action(async (options: JoinOptions) => (await import('./join.ts')).join(context, options));
}

function addLeave(program: Command, context: Context): void {
  program
    .command('leave')
    .description('leave the clusterset and remove everything from this host')
    .option('--site <directory>', 'site directory', DIRECTORIES.site)
    .option('--secrets <directory>', 'secrets directory', DIRECTORIES.secrets)
    .option('--state <directory>', 'state directory', DIRECTORIES.state)
    .addOption(hostOnlyOption())
    .option('--force', 'leave also when the broker cannot be told')
    .option('--yes', 'do not ask')
    .action(async (options: LeaveOptions) => (await import('./leave.ts')).leave(context, options));
}

function hostOnlyOption(): Option {
  const text = 'only remove what stands on this host; the cluster stays a member';
  return new Option('--host-only', text).conflicts('force');
}

function addPlan(program: Command, context: Context): void {
  program
    .command('plan')
    .description('show what would change on this host, and change nothing')
    .addOption(siteOption())
    .addOption(nodeOption())
    .addOption(statusPortOption())
    .addOption(outputOption())
    .action(async (options: PlanOptions) => (await import('./plan.ts')).plan(context, options));
}
