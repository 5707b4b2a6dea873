// The command that looks at a running clusterset.

import { Argument, Option } from 'commander';
import type { Command } from 'commander';
import { portArgument } from './arguments.ts';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import { outputOption } from './output-option.ts';
import type { ShowOptions } from './show.ts';
import { VIEWS } from './views.ts';
import type { View } from './views.ts';

export function addShow(program: Command, context: Context): void {
  const list = Object.entries(VIEWS).map(([view, text]) => `  ${view.padEnd(12)}${text}`);
  program
    .command('show')
    .description('show what this host knows of the clusterset')
    .addArgument(new Argument('<view>', 'what to show').choices(Object.keys(VIEWS)))
    .addOption(outputOption())
    .addOption(statusPortOption())
    .addOption(siteOption())
    .addOption(nodeOption())
    .option('--watch', 'show it again every second, until interrupted')
    .addHelpText('after', `\nViews:\n${list.join('\n')}`)
    .action(async (view: View, options: ShowOptions) =>
      (await import('./show.ts')).show(context, view, options),
    );
}

/** Where to look instead of asking the daemon. */
export function siteOption(): Option {
  const text = `show what this site directory says (default: the daemon, else ${DIRECTORIES.site})`;
  return new Option('--site <directory>', text);
}

/** Where the daemon of this host answers. */
export function statusPortOption(): Option {
  const text = "port of this host's daemon (default: the gateway's, else the route agent's)";
  return new Option('--status-port <port>', text).argParser(portArgument);
}

/** Which node of site.yaml this host is. */
export function nodeOption(): Option {
  return new Option('--node <name>', 'name of this host in site.yaml (default: the host name)');
}
