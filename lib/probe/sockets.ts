// Sockets on own addresses, one each: they carry what is asked and answered.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { PROBE_PORT } from '#lib/constants';
import { deviceIndexes } from './devices.ts';

/** One datagram. */
export interface Arrival {
  readonly bytes: Buffer;
  /** Own address that it came to, and the one that it came from as Node prints it. */
  readonly local: string;
  readonly from: string;
  readonly port: number;
  /** Back by the same socket. */
  readonly reply: (bytes: Buffer) => void;
}

export type OnArrival = (arrival: Arrival) => void;

/** What is done for one address: a socket, or a while of rest after one that could not be had. */
interface Place {
  socket: Socket | undefined;
  isBound: boolean;
  /** Index of the device that a link-local address names: the kernel binds its socket to that one, and not to the next of its name. */
  device: number | undefined;
  /** In a row. */
  failures: number;
  reason: string;
  /** Monotonic milliseconds. */
  retryAt: number;
}

/** Milliseconds until an address that could not be bound is tried again. */
const RETRY_MS = 1000;
/** Failures that are no news: an address may still be on its way to the host. */
const EXPECTED_FAILURES = 2;
/** Bytes that wait while this process is busy: as much as the kernel allows, since a thousand answers may come at once. */
const RECEIVE_BYTES = 1 << 20;

/** One UDP socket per own address, opened as the addresses come to stand on the host. */
export class ProbeSockets {
  readonly #onArrival: OnArrival;
  readonly #devices: typeof deviceIndexes;
  readonly #places = new Map<string, Place>();

  constructor(onArrival: OnArrival, devices = deviceIndexes) {
    this.#onArrival = onArrival;
    this.#devices = devices;
  }

  /**
   * Opens what is missing, anew what stands on a device that is no more, and closes what is not wanted. `now` is of a
   * monotonic clock.
   */
  sync(addresses: ReadonlySet<string>, now: number): void {
    for (const [address, { socket }] of this.#places) {
      if (addresses.has(address)) continue;
      this.#places.delete(address);
      socket?.close();
    }
    for (const address of addresses) if (!this.#places.has(address)) this.#places.set(address, newPlace());
    this.#leaveOldDevices();
    for (const [address, place] of this.#places) {
      if (place.socket === undefined && place.retryAt <= now) this.#open(address, place, now);
    }
  }

  /**
   * Nothing is sent where the socket is not there yet, or the host refuses (no route, link down): a miss like any other. Without
   * a callback Node tells nobody of a refusal, and spares a closure and a turn of its queue for each datagram.
   */
  send(local: string, remote: string, bytes: Buffer): void {
    const place = this.#places.get(local);
    if (place?.isBound === true) place.socket?.send(bytes, PROBE_PORT, remote);
  }

  /** Why an address has no socket, by address. */
  refused(): ReadonlyMap<string, string> {
    const lasting = [...this.#places].filter(([, { failures }]) => failures > EXPECTED_FAILURES);
    return new Map(lasting.map(([address, { reason }]) => [address, reason]));
  }

  close(): void {
    this.sync(new Set(), 0);
  }

  /** While there is no device of that name, there is nothing to open a socket on either. */
  #leaveOldDevices(): void {
    let devices: ReadonlyMap<string, number> | undefined;
    for (const [address, place] of this.#places) {
      const name = deviceOf(address);
      if (name === undefined) continue;
      devices ??= this.#devices();
      const device = devices.get(name);
      if (device === undefined || device === place.device) continue;
      place.socket?.close();
      Object.assign(place, { socket: undefined, isBound: false, device, retryAt: -Infinity });
    }
  }

  #open(address: string, place: Place, now: number): void {
    const socket = newSocket(address, this.#onArrival);
    Object.assign(place, { socket, retryAt: now + RETRY_MS });
    socket.on('error', ({ message }) => {
      if (this.#places.get(address) !== place || place.socket !== socket) return;
      const failures = place.failures + 1;
      Object.assign(place, { socket: undefined, isBound: false, failures, reason: message });
      socket.close();
    });
    socket.bind({ address, port: PROBE_PORT, exclusive: true }, () => {
      Object.assign(place, { isBound: true, failures: 0 });
    });
  }
}

/** The caller binds it. */
function newSocket(local: string, onArrival: OnArrival): Socket {
  const type = isIP(local) === 4 ? 'udp4' : 'udp6';
  const socket = createSocket({ type, recvBufferSize: RECEIVE_BYTES, lookup });
  socket.on('message', (bytes, { address: from, port }) => {
    const reply = (answer: Buffer): void => socket.send(answer, port, from);
    onArrival({ bytes, local, from, port, reply });
  });
  return socket;
}

/** Addresses are what they are: Node would ask its resolver before each datagram, which costs half as much as the sending. */
function lookup(
  address: string,
  _: unknown,
  found: (error: null, address: string, family: number) => void,
): void {
  found(null, address, isIP(address));
}

/** `ist-link` of `fe80::73:1%ist-link`. */
function deviceOf(address: string): string | undefined {
  const end = address.indexOf('%');
  return end === -1 ? undefined : address.slice(end + 1);
}

function newPlace(): Place {
  return { socket: undefined, device: undefined, isBound: false, failures: 0, reason: '', retryAt: 0 };
}
