// The commands that an operator gives on the broker's host.

import { Option } from 'commander';
import type { Command } from 'commander';
import { FABRIC4_DEFAULT, BROKER_PORT } from '#lib/constants';
import {
  addressArgument,
  cidrsArgument,
  clusterArgument,
  durationArgument,
  fabric4Argument,
  listArgument,
  portArgument,
} from './arguments.ts';
import type { ClusterId } from '#lib/names';
import type { MembersOptions, RevokeOptions, TokenOptions } from './broker-members.ts';
import type { CreateOptions, StartOptions } from './broker-server.ts';
import type { Context } from './context.ts';
import { DIRECTORIES } from './directories.ts';
import { outputOption } from './output-option.ts';

export function addBrokerCommands(program: Command, context: Context): void {
  const broker = program
    .command('broker')
    .description('make and run the broker, and decide who is a member')
    .helpCommand(false);
  addServer(broker, context);
  addMembership(broker, context);
}

function dataOption(): Option {
  return new Option('--data <directory>', "the broker's data directory").default(DIRECTORIES.broker);
}

function addServer(broker: Command, context: Context): void {
  broker
    .command('create')
    .description('make a clusterset: its root, keys, and the configuration of its broker')
    .addOption(dataOption())
    .requiredOption(
      '--advertise <host[:port]>',
      'name or address by which members reach the broker; may be repeated',
      listArgument,
    )
    .option('--listen <address>', 'address to listen on (default: all)', addressArgument)
    .option('--port <port>', 'TCP port to listen on', portArgument, BROKER_PORT)
    .option(
      '--fabric-v4 <cidr>',
      'IPv4 /10 that no cluster and no host uses',
      fabric4Argument,
      fabric4Argument(FABRIC4_DEFAULT),
    )
    .addOption(outputOption())
    .action(async (options: CreateOptions) =>
      (await import('./broker-server.ts')).createTheBroker(context, options),
    );
  broker
    .command('start')
    .description('run the broker until interrupted: nats-server, and the agent that admits members')
    .addOption(dataOption())
    .option('--advertise <host[:port]>', 'replaces what was given to create', listArgument)
    .option('--listen <address>', 'replaces what was given to create', addressArgument)
    .option('--port <port>', 'replaces what was given to create', portArgument)
    .addOption(
      new Option('--log-level <level>', 'debug, info, warn or error').choices(LEVELS).default('info'),
    )
    .action(async (options: StartOptions) =>
      (await import('./broker-server.ts')).startTheBroker(context, options),
    );
}

function ttlOption(): Option {
  return new Option('--ttl <duration>', 'how long it is good: 90s, 15m, 24h, 7d')
    .argParser(durationArgument)
    .default(86_400, '24h');
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

function addMembership(broker: Command, context: Context): void {
  broker
    .command('token')
    .description('print a join token: for one cluster, for one use, for a while')
    .addOption(dataOption())
    .requiredOption('--cluster <id>', 'the cluster that may join', clusterArgument)
    .requiredOption('--pod-cidr <cidr>', 'pod CIDR of the cluster; may be repeated', cidrsArgument)
    .option('--service-cidr <cidr>', 'service CIDR of the cluster; may be repeated', cidrsArgument)
    .addOption(ttlOption())
    .action(async (options: TokenOptions) =>
      (await import('./broker-members.ts')).printToken(context, options),
    );
  broker
    .command('members')
    .description('list the members of the clusterset')
    .addOption(dataOption())
    .addOption(outputOption())
    .action(async (options: MembersOptions) =>
      (await import('./broker-members.ts')).showMembers(context, options),
    );
  broker
    .command('revoke')
    .description('cut a member off, at the broker and at all other members, for good')
    .argument('<cluster>', 'the member', clusterArgument)
    .addOption(dataOption())
    .option('--root-key <file>', "sign with the clusterset's root key, which frees the id and the CIDRs")
    .option('--reason <text>', 'one sentence for the others')
    .option('--yes', 'do not ask')
    .action(async (cluster: ClusterId, options: RevokeOptions) =>
      (await import('./broker-members.ts')).revokeTheMember(context, cluster, options),
    );
}
