// The row about clocks: only a virtual machine has one that a test may set.

import { killDaemon } from '../faults/daemons.ts';
import { jumpClock } from '../faults/clock.ts';
import { together, type Fault } from '../faults/fault.ts';
import { deleteDevice, tunnelDevices } from '../faults/tunnels.ts';
import type { Lab } from '../lab.ts';
import { countMissing } from './figures.ts';
import { always, LOCAL, type FailoverRow } from './row.ts';

const HOUR_S = 3600;

/**
 * Every host's clock jumps, which is the most that a jump at one end can be: WireGuard compares the time in a peer's handshake
 * with that of the same peer's last one, never with its own.
 */
export const clock: FailoverRow = {
  id: 'clock',
  what: 'the wall clock jumps by an hour',
  variants: [
    {
      id: 'clock/jump',
      what: 'forth, and back',
      forMs: 4000,
      limits: { lost: 0, tcpLost: 0 },
      arm: always(() => jumpClock(HOUR_S)),
    },
    {
      id: 'clock/created-anew',
      what: `back, and ${LOCAL} is created anew in it: its handshakes are older than those that its peers have seen`,
      // A daemon starts in it, and what its peers have left has to prove itself again.
      forMs: 12_000,
      // What is seen at the end is seen before the clock is set right.
      afterMs: 0,
      limits: { silenceMs: 500, tcpLost: 0, missing: 0 },
      arm: always((lab) =>
        together(
          'created anew',
          () => jumpClock(-HOUR_S),
          () => createAnew(lab, LOCAL),
        ),
      ),
      observe: countMissing,
    },
  ],
};

/** Its daemon and all that its kernel knew of its peers are gone, and made again. */
async function createAnew(lab: Lab, place: string): Promise<Fault> {
  const daemon = await killDaemon(lab, place);
  for (const device of await tunnelDevices(lab, place)) await deleteDevice(lab, place, device);
  await daemon.undo();
  return daemon;
}
