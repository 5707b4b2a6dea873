// Ends and starts the programs of the product while packets flow.

import fs from 'node:fs/promises';
import path from 'node:path';
import { bundle } from '#setup';
import manifest from '../../package.json' with { type: 'json' };
import type { Lab } from '../lab.ts';
import { daemonOf, startBroker, startDaemon, stopBroker } from '../product.ts';
import { faultOf, type Fault } from './fault.ts';

const ROLES = ['gateway', 'route-agent'] as const;

/** kill -9 of a node's daemon; undone, it is started again. */
export async function killDaemon(lab: Lab, place: string): Promise<Fault> {
  await end(lab, place, 'SIGKILL');
  return faultOf(`${place}: daemon killed`, () => startDaemon(lab, place));
}

/** As a service manager does. Undone as soon as done. */
export async function restartDaemon(lab: Lab, place: string): Promise<Fault> {
  await end(lab, place, 'SIGTERM');
  await startDaemon(lab, place);
  return faultOf(`${place}: daemon restarted`);
}

/**
 * As a package does it: the program of another version lies there first, then as a restart. It has the source of the one that ran, and
 * a version of its own: that a later version reads what an earlier one wrote is for the tests of what is written.
 */
export async function upgradeDaemon(lab: Lab, place: string): Promise<Fault> {
  const role = daemonOf(lab.node(place).node);
  const { version, directory } = await nextVersion(lab, `isthmus-${role}`);
  await end(lab, place, 'SIGTERM');
  await lab.place(place).spawn({ role, argv: ['env', `ISTHMUS_DIST=${directory}`, `isthmus-${role}`] });
  return faultOf(`${place}: daemon upgraded to ${version}`);
}

/** A bundle of a version that no daemon of this lab has been of, in a directory that goes with the lab. */
async function nextVersion(
  lab: Lab,
  program: 'isthmus-gateway' | 'isthmus-route-agent',
): Promise<{ version: string; directory: string }> {
  const [before = '', after = '', ...more] = (await fs.readFile(await bundle(program), 'utf8')).split(
    `version:"${manifest.version}"`,
  );
  if (after === '' || more.length > 0)
    throw new Error(`Cannot make another version of ${program}: its own is not found once in its bundle`);
  const directory = await fs.mkdtemp(path.join(lab.home.root, 'upgrade-'));
  const version = `${manifest.version}+${path.basename(directory)}`;
  await fs.writeFile(path.join(directory, `${program}.mjs`), `${before}version:"${version}"${after}`);
  return { version, directory };
}

async function end(lab: Lab, place: string, signal: NodeJS.Signals): Promise<void> {
  const ended = await Promise.all(ROLES.map((role) => lab.kill({ place, role }, signal)));
  if (ended.flat().length === 0) throw new Error(`Cannot end the daemon of "${place}": none runs there`);
}

/** The broker is gone, its nats-server too. */
export async function withoutBroker(lab: Lab): Promise<Fault> {
  await stopBroker(lab);
  return faultOf('broker gone', () => startBroker(lab));
}
