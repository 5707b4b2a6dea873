// The command that makes a failure on purpose.

import { Argument, InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { Address } from '#lib/ip';
import { addressArgument, durationArgument } from './arguments.ts';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import type { DrillOptions } from './drill.ts';
import { DRILLS } from './drill-target.ts';
import type { Drill } from './drill-target.ts';
import { outputOption } from './output-option.ts';
import { statusPortOption } from './program-show.ts';

/** Seconds: an idle path is judged within two, and a broker's connection within five. */
const LEAST = 5;
const MOST = 600;

export function addDrill(program: Command, context: Context): void {
  program
    .command('drill')
    .description('let something of this gateway fail for a while, and measure what happens')
    .addArgument(new Argument('<what>', DRILLS.join(', ')).choices(DRILLS))
    .addArgument(new Argument('[name]', 'the path or the cluster; of gateways, the one of this host'))
    .addOption(lengthOption())
    .option(
      '--to <address>',
      'pod of another cluster, or node of it by an address inside the pod CIDRs, that answers ping; may be repeated, each is one flow (required unless the broker fails)',
      addressesArgument,
    )
    .option('--secrets <directory>', 'secrets directory, of which the broker is learnt', DIRECTORIES.secrets)
    .addOption(statusPortOption())
    .addOption(outputOption())
    .addHelpText('after', HELP)
    .action(async (kind: Drill, name: string | undefined, options: DrillOptions) =>
      (await import('./drill.ts')).drill(context, { kind, name }, options),
    );
}

const HELP = `
What fails, at this gateway alone:
  gateway       all of it, to all others: tunnels, workers, siblings. Pods on this host are cut off meanwhile
  path NAME     one tunnel, as in: clusterctl show tunnels
  cluster NAME  all tunnels to one cluster. Each of the cluster's gateways drills its own
  broker        this host's connection to it`;

function lengthOption(): Option {
  const text = `how long it fails: 30s, 2m, at least ${LEAST}s, at most ${MOST / 60}m`;
  return new Option('--for <duration>', text).argParser(lengthArgument).default(30, '30s');
}

function lengthArgument(text: string): number {
  const seconds = durationArgument(text);
  if (seconds < LEAST) throw new InvalidArgumentError(`it is shorter than ${LEAST}s`);
  if (seconds > MOST) throw new InvalidArgumentError(`it is longer than ${MOST / 60}m`);
  return seconds;
}

/** For an option that may be repeated. */
function addressesArgument(text: string, before: readonly Address[] = []): readonly Address[] {
  return [...before, addressArgument(text)];
}
