// Commands and options as docs/reference/cli.md lists them.
// This module is pure.

import type { Command, Option } from 'commander';

/** What the page says of one command: the heading, the usage line, and the table of its options. */
export interface CommandReference {
  readonly name: string;
  readonly description: string;
  /** Markdown; empty for a command without options. */
  readonly options: string;
}

/** Every command that does something, in the order of the help. */
export function referenceOf(command: Command, parent = ''): CommandReference[] {
  const name = `${parent}${command.name()}`;
  if (command.commands.length > 0) return command.commands.flatMap((one) => referenceOf(one, `${name} `));
  const words = command.registeredArguments
    .map((argument) => (argument.required ? ` <${argument.name()}>` : ` [${argument.name()}]`))
    .join('');
  const rows = command.options.map((option) => `| \`${option.flags}\` | ${describeOption(option)} |\n`);
  const options = rows.length === 0 ? '' : `| option | |\n| --- | --- |\n${rows.join('')}`;
  return [{ name: `${name}${words}`, description: command.description(), options }];
}

function describeOption(option: Option): string {
  if (option.mandatory) return `${option.description} (required)`;
  if (option.defaultValue === undefined) return option.description;
  return `${option.description} (default: \`${option.defaultValueDescription ?? String(option.defaultValue)}\`)`;
}
